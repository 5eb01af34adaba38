"""One connection from a container: reads its requests one after the other, within bounds."""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, cast

import structlog

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.http1.body_reader import BodyReader
from hakoiri.credential_proxy.http1.lazy_timer import LazyTimer
from hakoiri.credential_proxy.http1.rendering import ESTABLISHED, render_answer_head
from hakoiri.credential_proxy.listener.request import (
    ContainerRequest,
    ContainerStalledError,
    ParsedHead,
)
from hakoiri.credential_proxy.listener.request_parser import (
    Progress,
    RequestParser,
    UnsoundRequestError,
)
from hakoiri.credential_proxy.refusals import REASON_HEADER, render_refusal
from hakoiri.credential_proxy.tunnel import Tunnel

HEAD_TIMEOUT_S: Final = 10.0
KEEPALIVE_TIMEOUT_S: Final = 75.0
BODY_IDLE_TIMEOUT_S: Final = 60.0
ANSWER_STALL_TIMEOUT_S: Final = 60.0
"""How long a container may leave an answer unread while there is more to send."""

TLS_TIMEOUT_S: Final = 10.0
CONNECTIONS_LIMIT: Final = 256
"""Per container: places for all requests and tunnels, and as many idle connections."""

PIPELINED_LIMIT: Final = 16
_LINGERING_S: Final = 2.0
"""How long what follows a refusal is read and dropped, so that the refusal is not lost in a
reset."""

_WRITE_BUFFER_BYTES: Final = 128 * 1024
"""More unsent bytes than these are sent at once, and not when the loop has time."""


Handler = Callable[[ContainerRequest], Awaitable[None]]
Unreadable = Callable[[int, str], None]
"""Called with status and reason of a request that could not be read."""

_log = structlog.get_logger("hakoiri.credential_proxy")


class Server(Protocol):
    """What a connection needs of the server that made it."""

    handler: Handler
    unreadable: Unreadable
    connections: "set[ContainerConnection]"
    is_ending: bool

    def forget(self, connection: "ContainerConnection") -> None:
        """The connection is gone."""
        ...


class ContainerConnection(asyncio.Protocol):
    """Parses with llhttp, serves one request at a time, each in a task that this owns.

    A head, a body and the reading of an answer may take a bounded time. After anything unsound the
    connection is answered once, then deaf, then closed.
    """

    def __init__(
        self,
        server: Server,
        *,
        loop: asyncio.AbstractEventLoop,
        intercepted: Authority | None = None,
    ) -> None:
        self._server = server
        self._loop = loop
        self.intercepted = intercepted
        self._transport: asyncio.Transport | None = None
        self._early = b""  # what a TLS handshake's end brought, before connection_made
        self._timer = LazyTimer(loop=loop, action=self._time_is_up)
        self._parser = RequestParser(self._deliver)
        self._waiting: deque[ContainerRequest] = deque()
        self._current: ContainerRequest | None = None
        self._task: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._tunnel: Tunnel | None = None
        self._is_deaf = False
        self._unsent_bytes = 0  # when the connection began to end
        self._has_fault = False
        self._is_reading_paused = False
        self.is_writing_paused = False
        self.is_lost = False
        self.finished: asyncio.Future[None] = loop.create_future()

    # The transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or refuse it when the container has too many."""
        self._transport = cast("asyncio.Transport", transport)
        if self.is_lost:  # during the handshake already
            return
        if len(self._server.connections) >= CONNECTIONS_LIMIT:
            reason = f"the container has {CONNECTIONS_LIMIT} connections open"
            self._is_deaf = True
            self._refuse_unread(429, "too-many-connections", reason)
            self.transport.close()
            return
        self._server.connections.add(self)
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        self._timer.set(KEEPALIVE_TIMEOUT_S)
        early, self._early = self._early, b""
        if early:
            self.data_received(early)

    def connection_lost(self, exc: Exception | None) -> None:
        """The container is gone; what runs for it ends."""
        del exc
        self.is_lost = True
        self._end()
        if self._tunnel is not None:
            self._tunnel.close()
        elif self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Pass bytes to the tunnel or the parser."""
        if self._tunnel is not None:
            self._tunnel.from_container(data)
            return
        if self._transport is None:
            self._early += data
            return
        if self._is_deaf:
            return
        if self._current is None and not self._parser.is_in_head:
            self._timer.set(HEAD_TIMEOUT_S)
        match self._parser.feed(data):
            case Progress.UPGRADED:
                self._is_deaf = True
                self._pause_reading()
            case Progress.BODY_UNSOUND:
                self._is_deaf = True
            case Progress.UNSOUND:
                self._refuse_what_follows()

    def eof_received(self) -> bool | None:
        """Keep a tunnel half open; anything else has nobody left to answer."""
        if self._tunnel is not None:
            self._tunnel.container_eof()
            return self.intercepted is None  # TLS has no half-close
        return None

    def pause_writing(self) -> None:
        """The container takes no more for now."""
        self.is_writing_paused = True
        if self._tunnel is not None:
            self._tunnel.pause_container_writing()

    def resume_writing(self) -> None:
        """The container takes more again."""
        self.is_writing_paused = False
        self._wake_drained()
        if self._tunnel is not None:
            self._tunnel.resume_container_writing()

    # Serving

    def _deliver(self, head: ParsedHead) -> ContainerRequest:
        if len(self._waiting) >= PIPELINED_LIMIT:
            raise UnsoundRequestError("too many pipelined requests")
        body = BodyReader(
            hold=self._pause_reading, release=self._resume_reading, before_wait=self._await_body
        )
        request = ContainerRequest(connection=self, head=head, body=body)
        if self._current is None:
            self._start(request)
        else:
            self._waiting.append(request)
            self._pause_reading()
        return request

    def _start(self, request: ContainerRequest) -> None:
        self._timer.clear()
        self._current = request
        self._task = self._loop.create_task(self._serve(request))

    async def _serve(self, request: ContainerRequest) -> None:
        try:
            await self._server.handler(request)
        except asyncio.CancelledError:
            self.abort()  # cut, or gone
        except Exception:  # noqa: BLE001 - a flaw of ours ends one request, not the proxy
            _log.exception("a request failed")
            self._server.unreadable(500, "internal")
            if request.has_answer:
                self.abort()
            else:
                request.is_kept_alive = False
                self._write_refusal(500, "internal", "try again")
        self._task = None
        self._served(request)

    def _served(self, request: ContainerRequest) -> None:
        self._current = None
        if self.is_lost or self.transport.is_closing():
            return
        if self._tunnel is not None:
            self.transport.close()
            return
        if not request.is_kept_alive or not request.body.is_done:
            self._close_slowly()
        elif self._waiting:
            self._start(self._waiting.popleft())
        elif self._has_fault:
            self._refuse_unread(400, "bad-request", "the request is not sound HTTP/1.1")
            self._close_slowly()
        elif self._server.is_ending:
            self.transport.close()
        else:
            self._timer.set(HEAD_TIMEOUT_S if self._parser.is_in_head else KEEPALIVE_TIMEOUT_S)
            self._resume_reading()

    def _refuse_what_follows(self) -> None:
        """What came is not sound: say so once, in its turn, and hear no more."""
        self._is_deaf = True
        self._has_fault = True
        if self._current is None:
            self._refuse_unread(400, "bad-request", "the request is not sound HTTP/1.1")
            self._close_slowly()

    def _time_is_up(self) -> None:
        request = self._current
        if request is None and self._parser.is_in_head and not self._is_deaf:
            self._is_deaf = True
            reason = f"the head took longer than {HEAD_TIMEOUT_S:g} s"
            self._refuse_unread(408, "head-timeout", reason)
            self.transport.close()
        elif request is None and not self._is_deaf:
            self.transport.close()
        elif request is None:
            is_read = self.transport.get_write_buffer_size() < self._unsent_bytes
            self._end_in_time() if is_read else self.transport.abort()
        elif request.body.is_waiting:
            request.body.fail(ContainerStalledError("the body stopped coming"))
        elif self._drained is not None:
            self._drained.set_exception(
                ContainerStalledError("the container does not read the answer")
            )
            self._drained = None

    def _refuse_unread(self, status: int, code: str, reason: str) -> None:
        self._server.unreadable(status, code)
        self._write_refusal(status, code, reason)

    def _write_refusal(self, status: int, code: str, reason: str) -> None:
        media_type, body = render_refusal(status=status, code=code, reason=reason, route=None)
        headers = (
            ("Content-Type", media_type),
            ("Content-Length", str(len(body))),
            (REASON_HEADER, code),
            ("Connection", "close"),
        )
        self.write(render_answer_head(status, headers) + body)

    def _close_slowly(self) -> None:
        self._is_deaf = True
        if self.intercepted is not None or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self._resume_reading()
        self._end_in_time()

    def _end_in_time(self) -> None:
        """Cut the connection when what is sent last is read no more, or the container stays."""
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._timer.set(ANSWER_STALL_TIMEOUT_S if self._unsent_bytes else _LINGERING_S)

    # What a request does

    @property
    def transport(self) -> asyncio.Transport:
        """The container's side."""
        if self._transport is None:
            raise ConnectionError("the connection does not stand yet")
        return self._transport

    @property
    def is_ending(self) -> bool:
        """Whether the connection ends after what runs on it."""
        return self._server.is_ending

    def write(self, data: bytes) -> None:
        """Send bytes, unless nobody is there."""
        if not self.is_lost:
            self.transport.write(data)

    async def drain(self) -> None:
        """Wait until the container has read enough.

        Raises:
            ContainerStalledError: it does not.
        """
        if self.is_lost or not self.is_writing_paused:
            return
        self._timer.set(ANSWER_STALL_TIMEOUT_S)
        self._drained = self._loop.create_future()
        await self._drained

    def abort(self) -> None:
        """Cut the connection at once."""
        if not self.is_lost and self._transport is not None:
            self._transport.abort()

    def close_in_time(self) -> None:
        """Close once all is sent; cut after a while."""
        if not self.is_lost:
            self._is_deaf = True
            self.transport.close()
            self._end_in_time()

    def end_when_idle(self) -> None:
        """Close now when nothing runs, else after it."""
        if self._current is None and not self.is_lost:
            self.transport.close()

    def become(self, tunnel: Tunnel, head: bytes, glued: bytes) -> None:
        """Send `head`, then give all bytes to `tunnel`, `glued` first."""
        self._timer.clear()
        self._tunnel = tunnel
        self.write(head)
        tunnel.start(glued)
        self._resume_reading()

    async def intercept(self, context: ssl.SSLContext, authority: Authority) -> None:
        """Answer the CONNECT, speak TLS, and serve the requests inside until they end.

        Raises:
            OSError: the handshake fails.
        """
        self._timer.clear()
        inner = ContainerConnection(self._server, loop=self._loop, intercepted=authority)
        self.write(ESTABLISHED)
        self._server.connections.discard(self)
        try:
            transport = await self._loop.start_tls(
                self.transport,
                inner,
                context,
                server_side=True,
                ssl_handshake_timeout=TLS_TIMEOUT_S,
                ssl_shutdown_timeout=_LINGERING_S,
            )
            if transport is None:
                raise ConnectionError("the container is gone")
            inner.connection_made(transport)
            await inner.finished
        finally:
            inner.abort()
            self._end()

    # Waiting and ending

    def _end(self) -> None:
        self._timer.close()
        self._server.forget(self)
        self._wake_drained()
        if not self.finished.done():
            self.finished.set_result(None)

    def _await_body(self) -> None:
        self._timer.set(BODY_IDLE_TIMEOUT_S)

    def _wake_drained(self) -> None:
        if self._drained is not None:
            self._timer.clear()
            if not self._drained.done():
                self._drained.set_result(None)
            self._drained = None

    def _pause_reading(self) -> None:
        if not self._is_reading_paused and not self.transport.is_closing():
            self._is_reading_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._is_reading_paused and not self.transport.is_closing():
            self._is_reading_paused = False
            self.transport.resume_reading()
