import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from .conftest import Proxy, Upstream, absolute, converse, host_policy, proxy_file, statuses
from .connections import close_all, opened

pytestmark = pytest.mark.anyio
HOST = "files.example.test"


@dataclass
class Echo:
    """A TCP server that says what it got, and closes when the other side is done."""

    port: int = 0
    received: bytearray = field(default_factory=bytearray)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                self.received += data
                writer.write(data)
                await writer.drain()
            writer.write(b"<end>")
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
            self.closed.set()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    state = Echo()
    server = await asyncio.start_server(state.handle, "127.0.0.1", 0)
    state.port = server.sockets[0].getsockname()[1]
    yield state
    await close_all()
    server.close()
    await server.wait_closed()


async def allow(proxy: Proxy, upstream: Upstream, echo: Echo) -> Path:
    proxy.file.write_text(proxy_file(upstream_port=upstream.port, extra_ports=(echo.port,)))
    assert (await proxy.control("POST", "/reload"))[0] == 200
    return await proxy.open("c1", host_policy(HOST, echo.port))


async def connect(socket: Path, target: str, glued: bytes = b"") -> tuple[
    asyncio.StreamReader, asyncio.StreamWriter, bytes
]:  # fmt: skip
    reader, writer = await opened(socket)
    writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode() + glued)
    head = await reader.readuntil(b"\r\n\r\n")
    return reader, writer, head


async def test_a_tunnel_carries_bytes_both_ways_and_half_closes(
    proxy: Proxy, upstream: Upstream, echo: Echo
) -> None:
    socket = await allow(proxy, upstream, echo)
    reader, writer, head = await connect(socket, f"{HOST}:{echo.port}")
    assert head.split()[1] == b"200"
    payload = b"0123456789abcdef" * 65536

    async def send() -> None:
        writer.write(payload)
        await writer.drain()
        writer.write_eof()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(send())
        answer = tasks.create_task(reader.read())
    assert answer.result() == payload + b"<end>"
    writer.close()
    line = await proxy.logged(route="tunnel")
    assert (line["bytes_up"], line["bytes_down"]) == (len(payload), len(payload) + 5)
    assert (line["host"], line["port"], line["rule"]) == (HOST, echo.port, HOST)


async def test_bytes_glued_to_a_connect_are_tunnel_data_never_a_request(
    proxy: Proxy, upstream: Upstream, echo: Echo
) -> None:
    socket = await allow(proxy, upstream, echo)
    glued = b"GET http://files.example.test/ HTTP/1.1\r\nHost: files.example.test\r\n\r\n"
    reader, writer, head = await connect(socket, f"{HOST}:{echo.port}", glued)
    assert head.split()[1] == b"200"
    writer.write_eof()
    assert await reader.read() == glued + b"<end>"
    writer.close()
    await proxy.logged(route="tunnel")
    assert len(proxy.lines) == 1


async def test_bytes_glued_to_a_refused_connect_are_dropped(
    proxy: Proxy, upstream: Upstream
) -> None:
    socket = await proxy.open("c1", host_policy(HOST, upstream.port))
    glued = f"GET http://{HOST}:{upstream.port}/ HTTP/1.1\r\nHost: {HOST}:{upstream.port}\r\n\r\n"
    reader, writer, head = await connect(socket, "denied.example.test:443", glued.encode())
    assert head.split()[1] == b"403"
    await reader.read()
    writer.close()
    assert upstream.requests == []


async def test_unbind_cuts_a_tunnel(proxy: Proxy, upstream: Upstream, echo: Echo) -> None:
    socket = await allow(proxy, upstream, echo)
    reader, writer, _ = await connect(socket, f"{HOST}:{echo.port}")
    assert await proxy.unbind("c1") == 204
    with suppress(ConnectionError):
        assert await reader.read() == b""
    async with asyncio.timeout(60):
        await echo.closed.wait()
    writer.close()


async def test_a_reload_cuts_a_tunnel_whose_credential_host_it_became(
    proxy: Proxy, upstream: Upstream, echo: Echo
) -> None:
    socket = await allow(proxy, upstream, echo)
    _, writer, _ = await connect(socket, f"{HOST}:{echo.port}")
    text = proxy.file.read_text().replace("absent.example.com", HOST)
    proxy.file.write_text(text)
    assert (await proxy.control("POST", "/reload"))[0] == 200
    async with asyncio.timeout(60):
        await echo.closed.wait()
    writer.close()
    _, writer, head = await connect(socket, f"{HOST}:{echo.port}")
    assert b"intercept-required" in head
    writer.close()


async def test_the_sixty_fifth_tunnel_is_refused_and_neighbours_are_untouched(
    proxy: Proxy, upstream: Upstream, echo: Echo
) -> None:
    socket = await allow(proxy, upstream, echo)
    neighbour = await proxy.open("c2", host_policy(HOST, echo.port))
    writers = []
    for _ in range(64):
        _, writer, head = await connect(socket, f"{HOST}:{echo.port}")
        assert head.split()[1] == b"200"
        writers.append(writer)
    for path, status in ((socket, b"429"), (neighbour, b"200")):
        _, writer, head = await connect(path, f"{HOST}:{echo.port}")
        assert head.split()[1] == status
        writers.append(writer)
    for writer in writers:
        writer.close()


async def test_an_address_inside_is_refused_unless_the_file_excepts_it(
    proxy: Proxy, upstream: Upstream
) -> None:
    socket = await proxy.open("c1", host_policy("inside.example.test", 443))
    _, writer, head = await connect(socket, "inside.example.test:443")
    writer.close()
    assert head.split()[1] == b"403"
    assert b"address-refused" in head


async def test_an_absolute_request_streams_up_and_down(proxy: Proxy, upstream: Upstream) -> None:
    socket = await proxy.open("c1", host_policy(HOST, upstream.port))
    head = absolute(
        "PUT",
        f"http://{HOST}:{upstream.port}/a?b=%20c",
        "Proxy-Authorization: Basic eDp5",
        "Connection: x-mine",
        "X-Mine: 1",
        "Transfer-Encoding: chunked",
    )
    chunk = b"186a0\r\n" + b"x" * 100_000 + b"\r\n"
    answer = await converse(socket, head, chunk, chunk, chunk, b"0\r\n\r\n")
    assert statuses(answer) == [200]
    assert b'{"bytes": 300000}' in answer
    [(method, target, sent, _)] = upstream.requests
    assert (method, target) == ("PUT", "/a?b=%20c")
    named = {name.lower(): value for name, value in sent}
    assert named["host"] == f"{HOST}:{upstream.port}"
    assert not {"proxy-authorization", "x-mine", "x-api-key", "authorization"} & set(named)
    line = await proxy.logged(route="egress")
    assert (line["path"], line["bytes_up"]) == ("/a", 300_000)


async def test_a_head_request_ends_without_a_body(proxy: Proxy, upstream: Upstream) -> None:
    socket = await proxy.open("c1", host_policy(HOST, upstream.port))
    answer = await converse(socket, absolute("HEAD", f"http://{HOST}:{upstream.port}/"))
    assert statuses(answer) == [200]
    assert answer.endswith(b"\r\n\r\n")
    assert b"Content-Length: 12" in answer


async def test_an_expected_100_continue_comes_before_the_body(
    proxy: Proxy, upstream: Upstream
) -> None:
    socket = await proxy.open("c1", host_policy(HOST, upstream.port))
    url = f"http://{HOST}:{upstream.port}/"
    reader, writer = await opened(socket)
    writer.write(absolute("POST", url, "Expect: 100-continue", "Content-Length: 2"))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"{}")
    assert statuses(await reader.read()) == [200]
    writer.close()
