import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.credential_proxy.transports import Side

from hakoiri.credential_proxy.errors import UpstreamError
from hakoiri.credential_proxy.http1.body_reader import HIGH_WATER_BYTES
from hakoiri.credential_proxy.upstream import connection as module
from hakoiri.credential_proxy.upstream.connection import UpstreamConnection

pytestmark = pytest.mark.anyio
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def asked(method: str = "GET") -> tuple[UpstreamConnection, Side]:
    """A connection on which a request was sent."""
    connection = UpstreamConnection(loop=asyncio.get_running_loop(), address="192.0.2.1")
    side = Side()
    connection.connection_made(side)
    connection.begin(method)
    connection.sent()
    return connection, side


async def read_all(connection: UpstreamConnection) -> bytes:
    await connection.answer()
    read = b""
    while chunk := await connection.body.read():
        read += chunk
    return read


@given(cuts=st.lists(st.integers(0, 80), max_size=6), is_chunked=st.booleans())
def test_an_answer_is_the_same_however_it_is_split(cuts: list[int], *, is_chunked: bool) -> None:
    chunked = b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n"
    framing = chunked if is_chunked else b"Content-Length: 5\r\n\r\nabcde"
    raw = b"HTTP/1.1 201 Created\r\nX-A: b\r\n" + framing

    async def run() -> None:
        connection, _ = asked()
        edges = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
        for start, end in itertools.pairwise(edges):
            connection.data_received(raw[start:end])
        assert await read_all(connection) == b"abcde"
        assert connection.status == 201
        assert connection.headers[0] == ("X-A", "b")
        assert connection.is_reusable

    asyncio.run(run())


async def test_a_connection_serves_one_request_after_the_other() -> None:
    connection, side = asked()
    for _ in range(3):
        connection.data_received(OK)
        assert await read_all(connection) == b"ok"
        assert connection.is_reusable
        connection.rest()
        connection.begin("GET")
        assert connection.is_reused
        connection.sent()
    assert not side.is_aborted


async def test_an_answer_before_the_whole_request_is_the_last() -> None:
    connection = UpstreamConnection(loop=asyncio.get_running_loop(), address="192.0.2.1")
    connection.connection_made(Side())
    connection.begin("POST")
    connection.data_received(OK)
    assert await read_all(connection) == b"ok"
    assert not connection.is_reusable


async def test_an_answer_to_head_has_no_body_and_the_connection_goes_on() -> None:
    connection, _ = asked("HEAD")
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    assert await read_all(connection) == b""
    assert connection.is_reusable
    connection.rest()
    connection.begin("GET")
    connection.sent()
    connection.data_received(OK)
    assert await read_all(connection) == b"ok"


async def test_a_body_on_an_answer_to_head_ends_the_connection() -> None:
    connection, _ = asked("HEAD")
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde")
    assert await read_all(connection) == b""
    assert not connection.is_reusable


async def test_interim_answers_are_skipped_up_to_a_limit() -> None:
    connection, _ = asked()
    connection.data_received(b"HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n" * 3 + OK)
    assert await read_all(connection) == b"ok"
    assert connection.headers == (("Content-Length", "2"),)
    connection, side = asked()
    connection.data_received(b"HTTP/1.1 100 Continue\r\n\r\n" * 17)
    with pytest.raises(UpstreamError):
        await connection.answer()
    assert side.is_aborted


async def test_an_answer_without_length_ends_with_the_connection() -> None:
    connection, _ = asked()
    connection.data_received(b"HTTP/1.1 200 OK\r\n\r\nabc")
    connection.connection_lost(None)
    assert await read_all(connection) == b"abc"
    assert not connection.is_reusable


@pytest.mark.parametrize("framing", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
async def test_an_answer_that_breaks_off_is_not_taken_for_whole(framing: bytes) -> None:
    connection, _ = asked()
    connection.data_received(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
    connection.connection_lost(None)
    await connection.answer()
    with pytest.raises(UpstreamError):
        await connection.body.read()


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: \x1b[31m\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 000 Nothing\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n",
    ],
)
async def test_an_unsound_answer_is_an_error(raw: bytes) -> None:
    connection, side = asked()
    connection.data_received(raw)
    with pytest.raises(UpstreamError):
        await connection.answer()
    assert side.is_aborted


async def test_a_head_without_end_is_cut_off() -> None:
    connection, side = asked()
    connection.data_received(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(5):
        connection.data_received(b"y" * 20_000)
    assert side.is_aborted
    with pytest.raises(UpstreamError, match="too long"):
        await connection.answer()


async def test_a_second_answer_that_nobody_asked_for_ends_the_connection() -> None:
    connection, side = asked()
    connection.data_received(OK + OK)
    assert await read_all(connection) == b"ok"
    assert side.is_aborted
    assert not connection.is_reusable


async def test_bytes_while_nothing_is_asked_end_the_connection() -> None:
    connection, side = asked()
    connection.data_received(OK)
    await read_all(connection)
    connection.rest()
    connection.data_received(OK)
    assert side.is_aborted


async def test_a_reader_that_is_slow_holds_the_upstream() -> None:
    connection, side = asked()
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n")
    connection.data_received(b"x" * (HIGH_WATER_BYTES + 1))
    assert side.is_held
    await connection.body.read()
    assert not side.is_held


async def test_switched_protocols_leave_the_bytes_that_follow() -> None:
    connection, side = asked()
    connection.data_received(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        b"\r\n\x81\0"
    )
    await connection.answer()
    assert (connection.status, connection.glued) == (101, b"\x81\0")
    assert side.is_held
    assert not connection.is_reusable


async def test_an_upstream_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_TIMEOUT_S", 0)
    connection, side = asked()
    with pytest.raises(UpstreamError) as failed:
        await connection.answer()
    assert (failed.value.code, failed.value.status) == ("upstream-timeout", 504)
    assert side.is_aborted


async def test_a_sender_waits_while_the_upstream_takes_no_more_but_not_for_a_dead_one() -> None:
    connection, _ = asked()
    connection.pause_writing()

    async def take_more() -> None:
        connection.resume_writing()

    await asyncio.gather(connection.drain(), take_more())
    connection.pause_writing()

    async def break_off() -> None:
        connection.connection_lost(ConnectionResetError())

    await asyncio.gather(connection.drain(), break_off())
    with pytest.raises(UpstreamError):
        await connection.answer()


@pytest.mark.parametrize("is_read", [True, False])
async def test_a_connection_whose_answer_was_left_unread_while_held_serves_no_other(
    *, is_read: bool
) -> None:
    connection, side = asked()
    size_bytes = HIGH_WATER_BYTES + 1
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size_bytes
    connection.data_received(head + b"x" * size_bytes)
    assert side.is_held
    if is_read:
        await read_all(connection)
    connection.rest()
    assert (connection.is_reusable, side.is_held) == (is_read, not is_read)


@pytest.mark.parametrize("begun", [b"0\r\nX: ", b"0\r\n", b"2;"])
async def test_chunk_extensions_and_trailers_without_end_are_cut_off(begun: bytes) -> None:
    connection, side = asked()
    connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + begun)
    for _ in range(5):
        connection.data_received(b"y" * 20_000)
    assert side.is_aborted
    with pytest.raises(UpstreamError, match="too long"):
        await read_all(connection)


async def test_a_long_body_in_small_chunks_is_not_cut_off() -> None:
    connection, side = asked()
    connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(100):
        connection.data_received(b"1\r\nx\r\n" * 1000)
    connection.data_received(b"0\r\n\r\n")
    assert len(await read_all(connection)) == 100_000
    assert not side.is_aborted


async def test_trailers_and_the_phrase_of_an_answer_are_dropped() -> None:
    connection, _ = asked()
    connection.data_received(
        b"HTTP/1.1 200 planted\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
        b"0\r\nX-Trailer: planted\r\nAuthorization: planted\r\n\r\n"
    )
    assert await read_all(connection) == b"ok"
    assert connection.headers == (("Transfer-Encoding", "chunked"),)


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_bytes_after_an_answer_that_has_no_body_end_the_connection(status: bytes) -> None:
    connection, side = asked()
    connection.data_received(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\nabcde")
    assert await read_all(connection) == b""
    assert side.is_aborted
    assert not connection.is_reusable
