"""The server's end, with connections of every kind open: on loopback, by real signals."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
import pytest
from starlette.types import Receive, Scope, Send

from hakoiri.cli.demo.server_process import free_port
from hakoiri.host.adapters.http_server import Ends, serve_http
from hakoiri.host.api.last_requests import EndableRequests, LastRequests

pytestmark = pytest.mark.anyio

MANY: bytes = bytes(32 * 1024 * 1024)
"""More than a socket takes that nobody reads."""

START = {"type": "http.response.start", "status": 200, "headers": []}


@dataclass
class Site:
    """An application whose requests end in all the ways there are, and what it was told."""

    told: list[str] = field(default_factory=list)
    requests: LastRequests = field(default_factory=LastRequests)
    stopping: anyio.Event = field(default_factory=anyio.Event)
    port: int = field(default_factory=free_port)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/silent":
            await anyio.sleep_forever()
        await send(START)
        await send({"type": "http.response.body", "body": b"begun;", "more_body": True})
        if scope["path"] == "/stream":
            await self.stopping.wait()
        elif scope["path"] == "/unread":
            await send({"type": "http.response.body", "body": MANY, "more_body": True})
            await send({"type": "http.response.body", "body": MANY, "more_body": True})
        elif scope["path"] == "/half":
            await anyio.sleep_forever()
        await send({"type": "http.response.body", "body": b"ended"})

    @property
    def ends(self) -> Ends:
        def stopping() -> None:
            self.told.append("stopping")
            self.stopping.set()

        def giving_up() -> None:
            self.told.append("giving up")
            self.requests.refuse_unanswered()

        def cutting_off() -> None:
            self.told.append("cutting off")
            self.requests.cut_off()

        return Ends(
            leaving=lambda: self.told.append("leaving"),
            stopping=stopping,
            giving_up=giving_up,
            cutting_off=cutting_off,
        )

    async def asked(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a request and wait until it is being served."""
        before = len(self.requests)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while len(self.requests) == before:
            await anyio.lowlevel.checkpoint()
        return reader, writer


@asynccontextmanager
async def served(site: Site, *, grace_s: float) -> AsyncIterator[None]:
    """Serve it until it ends by a signal."""
    app = EndableRequests(site, requests=site.requests)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:

            async def serve() -> None:
                await serve_http(
                    app, host="127.0.0.1", port=site.port, ends=site.ends, grace_s=grace_s
                )

            group.start_soon(serve)
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
                    writer.close()
                    break
                await asyncio.sleep(0.01)
            yield
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        asyncio.get_running_loop().remove_signal_handler(number)


async def test_streams_that_end_by_themselves_need_no_grace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = Site()
    async with served(site, grace_s=600):
        streams = [await site.asked("/stream") for _ in range(3)]
        signal.raise_signal(signal.SIGTERM)
        for reader, writer in streams:
            assert (await reader.read()).endswith(b"begun;\r\n5\r\nended\r\n0\r\n\r\n")
            writer.close()
    assert site.told == ["stopping"]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_what_does_not_end_is_told_or_cut_and_nothing_is_logged_as_a_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = Site()
    async with served(site, grace_s=0):
        silent, half, unread = [await site.asked(path) for path in ("/silent", "/half", "/unread")]
        signal.raise_signal(signal.SIGTERM)
        assert b"HTTP/1.1 503" in await silent[0].read()
        cut = b""
        with suppress(ConnectionResetError):
            while piece := await half[0].read(100):
                cut += piece
        assert b"begun;" in cut
        assert not cut.endswith(b"0\r\n\r\n")
    for _, writer in (silent, half, unread):
        writer.close()
    assert site.told == ["stopping", "giving up", "cutting off"]
    assert len(site.requests) == 0
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_the_signal_to_leave_says_so_first() -> None:
    site = Site()
    async with served(site, grace_s=600):
        signal.raise_signal(signal.SIGUSR1)
    assert site.told == ["leaving", "stopping"]
