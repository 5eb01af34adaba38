import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hakoiri.workspace_agent.relay import Relay

pytestmark = pytest.mark.anyio

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def proxy(path: Path, handle: Handler) -> AsyncIterator[None]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, path)
    async with server:
        yield


@asynccontextmanager
async def connected(relay: Relay) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def echo_after_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read(-1))
    await writer.drain()


async def greet_then_echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    with contextlib.suppress(ConnectionError):
        await echo_after_the_end(reader, writer)


async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def test_bytes_go_both_ways_and_a_half_closed_connection_stays_half_open(
    tmp_path: Path,
) -> None:
    path = tmp_path / "proxy.sock"
    sent = bytes(range(256)) * 20_000
    async with (
        proxy(path, echo_after_the_end),
        Relay(proxy_socket=path, port=0) as relay,
        connected(relay) as (reader, writer),
    ):
        writer.write(sent)
        writer.write_eof()
        assert await reader.read(-1) == sent


async def test_a_slow_reader_gets_the_last_byte_though_both_sides_have_ended(
    tmp_path: Path,
) -> None:
    socket_path = tmp_path / "proxy.sock"
    sent = bytes(range(256)) * 20_000
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(0)
        async with (
            proxy(socket_path, echo_after_the_end),
            Relay(proxy_socket=socket_path, port=0) as relay,
        ):
            loop = asyncio.get_running_loop()
            await loop.sock_connect(slow, ("127.0.0.1", relay.port))
            await loop.sock_sendall(slow, sent)
            slow.shutdown(socket.SHUT_WR)
            received = bytearray()
            while chunk := await loop.sock_recv(slow, 1024):
                received += chunk
    assert received == sent


async def test_without_the_proxy_a_connection_is_closed_at_once(tmp_path: Path) -> None:
    async with (
        Relay(proxy_socket=tmp_path / "none.sock", port=0) as relay,
        connected(relay) as (reader, _),
    ):
        assert await is_cut(reader)


async def is_cut(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


async def test_one_connection_more_than_allowed_is_cut_and_the_others_live(
    tmp_path: Path,
) -> None:
    path = tmp_path / "proxy.sock"
    async with (
        proxy(path, greet_then_echo),
        Relay(proxy_socket=path, port=0, connection_limit=1) as relay,
        connected(relay) as (reader, writer),
    ):
        assert await reader.readexactly(5) == b"hello"
        async with connected(relay) as (refused, _):
            assert await is_cut(refused)
        writer.write(b"first")
        writer.write_eof()
        assert await reader.read(-1) == b"first"
        async with connected(relay) as (again, _):
            assert await again.readexactly(5) == b"hello", "there is room again"


async def fill(writer: asyncio.StreamWriter, *, limit_bytes: int) -> int:
    """Write until nothing is taken any more; return how much was."""
    writer.transport.set_write_buffer_limits(high=0)
    taken = 0
    while taken < limit_bytes:
        writer.write(b"x" * 1024 * 1024)
        try:
            async with asyncio.timeout(0.3):
                await writer.drain()
        except TimeoutError:
            break
        taken += 1024 * 1024
    return taken


async def test_a_stalled_proxy_holds_up_the_sender_rather_than_filling_memory(
    tmp_path: Path,
) -> None:
    path = tmp_path / "proxy.sock"
    async with (
        proxy(path, stall),
        Relay(proxy_socket=path, port=0) as relay,
        connected(relay) as (_, writer),
    ):
        taken = await fill(writer, limit_bytes=256 * 1024 * 1024)
    assert taken < 64 * 1024 * 1024, "kernel buffers and a chunk, not all there is"


async def test_a_proxy_that_cuts_the_connection_cuts_it_for_the_program(tmp_path: Path) -> None:
    async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    path = tmp_path / "proxy.sock"
    async with (
        proxy(path, cut),
        Relay(proxy_socket=path, port=0) as relay,
        connected(relay) as (reader, _),
    ):
        assert await is_cut(reader)


async def test_ending_the_relay_cuts_what_is_open(tmp_path: Path) -> None:
    path = tmp_path / "proxy.sock"
    async with proxy(path, stall):
        async with Relay(proxy_socket=path, port=0) as relay:
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)
        assert await is_cut(reader)
        writer.transport.abort()


def test_a_relay_that_is_not_started_has_no_port(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        _ = Relay(proxy_socket=tmp_path / "none.sock", port=0).port
