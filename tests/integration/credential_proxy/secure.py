"""HTTPS servers of the tests, and clients that speak TLS inside a CONNECT."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import WSMsgType, web

from hakoiri.credential_proxy.interception.certificate_authority import CertificateAuthority
from hakoiri.credential_proxy.interception.leaf_cache import LeafCache

from .connections import close_all, opened

HOST = "files.example.test"
Seen = tuple[str, str, dict[str, str], bytes]


@dataclass
class SecureUpstream:
    """An HTTPS server that keeps what it was sent; its certificate is from `authority`."""

    port: int = 0
    requests: list[Seen] = field(default_factory=list)
    connections: int = 0
    next_event: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/socket":
            return await self._socket(request)
        if request.path == "/events":
            return await self._events(request)
        body = await request.content.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((request.method, request.path_qs, headers, body))
        if request.path == "/not-switched":
            return web.Response(text="no")
        if request.path == "/switched-badly":
            headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
            return web.Response(status=101, headers=headers)
        return web.Response(text=f"{request.method} {request.path_qs}")

    async def _events(self, request: web.BaseRequest) -> web.StreamResponse:
        """One event whenever the test says so."""
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        number = 0
        while True:
            number += 1
            await answer.write(f"data: {number}\n\n".encode())
            await self.next_event.acquire()

    async def _socket(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        async for message in answer:
            if message.type == WSMsgType.TEXT:
                await answer.send_str(f"echo {message.data}")
        return answer


@asynccontextmanager
async def secure_upstream(
    context: ssl.SSLContext, *, address: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[SecureUpstream]:
    state = SecureUpstream()
    server = web.Server(state.handle, access_log=None)

    def connected() -> asyncio.Protocol:
        state.connections += 1
        return server()

    loop = asyncio.get_running_loop()
    listening = await loop.create_server(connected, address, port, ssl=context)
    state.port = listening.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        await close_all()
        listening.close()
        await server.shutdown(1)
        await listening.wait_closed()


def make_authority(directory: Path) -> CertificateAuthority:
    directory.mkdir(exist_ok=True)
    return CertificateAuthority.load(directory, now=datetime.now(UTC))


def server_context(
    authority: CertificateAuthority, host: str = HOST, *, age: timedelta = timedelta()
) -> ssl.SSLContext:
    """The server's side for `host`, issued `age` ago; it answers to any name."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC) - age  # noqa: E731 - one expression
    context = LeafCache(authority=authority, now=now).context_for(host)
    context.sni_callback = lambda *_: None
    return context


async def connect(socket: Path, target: str) -> tuple[
    asyncio.StreamReader, asyncio.StreamWriter, bytes
]:  # fmt: skip
    reader, writer = await opened(socket)
    writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    return reader, writer, await reader.readuntil(b"\r\n\r\n")


async def secured(
    socket: Path, target: str, *, server_name: str | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """CONNECT, and speak TLS inside as a client that trusts the bundle beside the socket."""
    reader, writer, head = await connect(socket, target)
    assert head.startswith(b"HTTP/1.1 200 "), head
    context = ssl.create_default_context(cafile=str(socket.with_name("ca.pem")))
    await writer.start_tls(context, server_hostname=server_name or target.partition(":")[0])
    return reader, writer


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *lines: str, body: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    """Send one request and read its answer, which must tell its length."""
    writer.write("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body)
    async with asyncio.timeout(60):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        content = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(head[0].split()[1]), headers, content
