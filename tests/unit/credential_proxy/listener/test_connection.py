import asyncio

import pytest
from tests.unit.credential_proxy.transports import Side

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.listener.connection import (
    PIPELINED_LIMIT,
    ContainerConnection,
    ContainerServer,
)
from hakoiri.credential_proxy.listener.request import ContainerRequest

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
    assert (idle.is_aborted, busy.is_aborted) == (True, False)
    await handled.settle()
    assert b"Connection: close" in busy.written
    connection.connection_lost(None)
