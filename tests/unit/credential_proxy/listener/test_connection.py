import asyncio

import pytest
from tests.unit.credential_proxy.transports import Side

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.listener import connection as module
from hakoiri.credential_proxy.listener.connection import PIPELINED_LIMIT, ContainerConnection
from hakoiri.credential_proxy.listener.request import ContainerRequest
from hakoiri.credential_proxy.listener.server import ContainerServer

pytestmark = pytest.mark.anyio
REQUEST = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Handled:
    """Answers each request once it is let go."""

    def __init__(self) -> None:
        self.targets: list[str] = []
        self.unreadable: list[tuple[int, str]] = []
        self.go = asyncio.Event()
        self.server = ContainerServer(
            self.handle, unreadable=lambda status, reason: self.unreadable.append((status, reason))
        )

    async def handle(self, request: ContainerRequest) -> None:
        self.targets.append(request.target)
        await self.go.wait()
        request.answer_whole(200, [], b"ok")

    def connection(self, intercepted: Authority | None = None) -> ContainerConnection:
        loop = asyncio.get_running_loop()
        return ContainerConnection(self.server, loop=loop, intercepted=intercepted)

    async def settle(self) -> None:
        self.go.set()
        for _ in range(3 * PIPELINED_LIMIT):
            await asyncio.sleep(0)


async def test_pipelined_requests_are_answered_in_turn_up_to_a_limit() -> None:
    handled, side = Handled(), Side()
    connection = handled.connection()
    connection.connection_made(side)
    connection.data_received(REQUEST * (PIPELINED_LIMIT + 10))
    assert side.is_held
    await handled.settle()
    assert len(handled.targets) == PIPELINED_LIMIT + 1
    assert side.written.count(b"HTTP/1.1 200 ") == PIPELINED_LIMIT + 1
    assert side.written.count(b"HTTP/1.1 400 ") == 1
    assert side.written.endswith(b"<eof>")
    assert handled.unreadable == [(400, "bad-request")]
    connection.connection_lost(None)


async def test_what_a_handshakes_end_brings_is_not_lost() -> None:
    handled, side = Handled(), Side()
    connection = handled.connection(Authority("a.test", 443))
    connection.data_received(REQUEST[:9])
    connection.data_received(REQUEST[9:])
    connection.connection_made(side)
    await handled.settle()
    assert handled.targets == ["/a"]
    assert b"HTTP/1.1 200 " in side.written
    connection.connection_lost(None)


async def test_one_that_was_lost_in_its_handshake_is_not_counted() -> None:
    handled = Handled()
    connection = handled.connection(Authority("a.test", 443))
    connection.connection_lost(None)
    connection.connection_made(Side())
    assert handled.server.connections == set()


async def test_a_container_that_goes_away_ends_what_runs_for_it() -> None:
    handled = Handled()
    connection = handled.connection()
    connection.connection_made(Side())
    connection.data_received(REQUEST)
    await asyncio.sleep(0)
    connection.connection_lost(None)
    await handled.server.gone(timeout_s=1)
    await handled.settle()
    assert handled.server.connections == set()
    assert connection.finished.done()


async def test_an_ending_server_closes_idle_connections_now_and_busy_ones_after_their_answer() -> (
    None
):
    handled, idle, busy = Handled(), Side(), Side()
    handled.connection().connection_made(idle)
    connection = handled.connection()
    connection.connection_made(busy)
    connection.data_received(REQUEST)
    await asyncio.sleep(0)
    handled.server.end()
    assert (idle.is_closed, busy.is_closed) == (True, False)
    await handled.settle()
    assert b"Connection: close" in busy.written
    connection.connection_lost(None)


@pytest.mark.parametrize("length_bytes", [10, None])
async def test_an_answer_that_breaks_off_is_sent_as_far_as_it_came_and_has_no_end(
    length_bytes: int | None,
) -> None:
    async def half(request: ContainerRequest) -> None:
        request.begin_answer(200, [], length_bytes=length_bytes)
        request.write(b"half")
        request.break_off()

    side = Side()
    connection = ContainerServer(half, unreadable=lambda *_: None)()
    connection.connection_made(side)
    connection.data_received(REQUEST)
    await asyncio.sleep(0)
    assert b"half" in side.written
    assert (side.is_closed, side.is_aborted) == (True, False)
    assert not side.written.endswith(b"0\r\n\r\n")
    connection.connection_lost(None)


async def test_an_answer_that_ends_with_the_connection_is_cut_when_it_breaks_off() -> None:
    async def half(request: ContainerRequest) -> None:
        request.begin_answer(200, [], length_bytes=None)
        request.break_off()

    side = Side()
    connection = ContainerServer(half, unreadable=lambda *_: None)()
    connection.connection_made(side)
    connection.data_received(REQUEST.replace(b"1.1", b"1.0"))
    await asyncio.sleep(0)
    assert side.is_aborted
    connection.connection_lost(None)


async def test_the_last_answer_has_time_while_it_is_read_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ANSWER_STALL_TIMEOUT_S", 0)
    handled, side = Handled(), Side()
    connection = handled.connection()
    connection.connection_made(side)
    connection.data_received(REQUEST.replace(b"Host", b"Connection: close\r\nHost"))
    side.unsent_bytes = 3
    handled.go.set()
    while not side.written.endswith(b"<eof>"):  # noqa: ASYNC110 - the task has no event
        await asyncio.sleep(0)
    for unsent_bytes in (2, 1):
        side.unsent_bytes = unsent_bytes
        connection._time_is_up()
        assert not side.is_aborted
    connection._time_is_up()
    assert side.is_aborted
    connection.connection_lost(None)


@pytest.mark.parametrize(
    ("status", "told"), [(204, None), (205, b"Content-Length: 0"), (304, b"Content-Length: 5")]
)
async def test_an_answer_that_has_no_body_promises_none(status: int, told: bytes | None) -> None:
    async def answer(request: ContainerRequest) -> None:
        request.answer_whole(status, [], b"abcde")

    side = Side()
    connection = ContainerServer(answer, unreadable=lambda *_: None)()
    connection.connection_made(side)
    connection.data_received(REQUEST)
    await asyncio.sleep(0)
    assert b"abcde" not in side.written
    assert (told or b"") in side.written
    assert (b"Content-Length" in side.written) == (told is not None)
    connection.connection_lost(None)
