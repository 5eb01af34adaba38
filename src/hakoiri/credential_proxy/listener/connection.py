"""One connection from a container: aiohttp's, with our limits and a way to become a tunnel."""

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from hakoiri.credential_proxy.refusals import REASON_HEADER, render_refusal
from hakoiri.credential_proxy.tunnel import Tunnel

HEAD_TIMEOUT_S: Final = 10.0
KEEPALIVE_TIMEOUT_S: Final = 75.0
CONNECTIONS_LIMIT: Final = 256
"""Per container: places for all requests and tunnels, and as many idle connections."""

_HEADERS_LIMIT: Final = 100
_LINE_LIMIT_BYTES: Final = 8190
_LAST_CHUNK: Final = re.compile(rb"(?:\A|\r\n)0+\r\n\r\n\Z")
_LAST_BYTES: Final = 32
_LINGERING_S: Final = 2.0
"""How long a refused body is read and dropped, so that the refusal is not lost in a reset."""


Unreadable = Callable[[int, str], None]
"""Called with status and reason of a request that could not be read."""


def render_raw(status: int, phrase: str, *, code: str, reason: str) -> bytes:
    """Return a whole refusal as bytes, for a connection that is closed after it."""
    media_type, body = render_refusal(status=status, code=code, reason=reason, route=None)
    head = (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: {media_type}\r\n"
        f"Content-Length: {len(body)}\r\n{REASON_HEADER}: {code}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


class ContainerServer(web.Server):
    """Makes the connections of one container's socket."""

    def __init__(self, handler: Any, *, unreadable: Unreadable) -> None:
        super().__init__(
            handler,
            handler_cancellation=True,
            auto_decompress=False,
            access_log=None,
            keepalive_timeout=KEEPALIVE_TIMEOUT_S,
            max_headers=_HEADERS_LIMIT,
            max_line_size=_LINE_LIMIT_BYTES,
            max_field_size=_LINE_LIMIT_BYTES,
            lingering_time=_LINGERING_S,
        )
        self.unreadable = unreadable

    def __call__(self) -> RequestHandler:
        """Make the protocol of a new connection."""
        return ContainerConnection(self, loop=self._loop, **self._kwargs)

    def cut(self) -> None:
        """Close every connection at once."""
        for connection in self.connections:
            if connection.transport is not None:
                connection.transport.abort()


class ContainerConnection(RequestHandler):
    """Bounds how long a head may take and how many connections there are."""

    __slots__ = ("_head_timer", "_last_bytes", "_server", "_tunnel")

    def __init__(self, server: ContainerServer, **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._server = server
        self._tunnel: Tunnel | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._last_bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or refuse it when the container has too many."""
        if len(self._server.connections) < CONNECTIONS_LIMIT:
            super().connection_made(transport)
            return
        self._force_close = True
        reason = f"the container has {CONNECTIONS_LIMIT} connections open"
        self._server.unreadable(429, "too-many-connections")
        refusal = render_raw(429, "Too Many Requests", code="too-many-connections", reason=reason)
        cast("asyncio.Transport", transport).write(refusal)
        cast("asyncio.Transport", transport).close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The container is gone."""
        self._stop_head_timer()
        if self._tunnel is not None:
            self._tunnel.close()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass bytes to the tunnel or the parser."""
        if self._tunnel is not None:
            self._tunnel.from_container(data)
            return
        self._last_bytes = (self._last_bytes + data[-_LAST_BYTES:])[-_LAST_BYTES:]
        super().data_received(data)
        is_reading_head = bool(data) and self._waiter is not None and not self._messages
        if not is_reading_head:
            self._stop_head_timer()
        elif self._head_timer is None:
            self._head_timer = self._loop.call_later(HEAD_TIMEOUT_S, self._refuse_late_head)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # asyncio's own signature
        """Keep a tunnel half open; end anything else."""
        if self._tunnel is None:
            return None
        self._tunnel.container_eof()
        return True

    def pause_writing(self) -> None:
        """The container takes no more for now."""
        super().pause_writing()
        if self._tunnel is not None:
            self._tunnel.pause_container_writing()

    def resume_writing(self) -> None:
        """The container takes more again."""
        super().resume_writing()
        if self._tunnel is not None:
            self._tunnel.resume_container_writing()

    def become(self, tunnel: Tunnel) -> bytes:
        """Give all further bytes to `tunnel`; return those that came with the CONNECT's head."""
        self._tunnel = tunnel
        glued, self._message_tail = self._message_tail, b""
        if self._buffer_paused:
            self._resume_reading_for_buffer()
        return bytes(glued)

    @property
    def is_chunked_end(self) -> bool:
        """Whether what came last is the bare last chunk: no trailer and no other request after it.

        The parser drops trailers, but gives the last one to the connection's next request as its
        first header (seen with aiohttp 3.14.5), so they are told from the bytes.
        """
        return _LAST_CHUNK.search(self._last_bytes) is not None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that could not be read or whose handling failed, and close."""
        del message
        code = "bad-request" if status == 400 else "internal"  # noqa: PLR2004 - HTTP's own
        if status != 400:  # noqa: PLR2004 - HTTP's own
            self.logger.error("a request failed: %s", type(exc).__name__, exc_info=exc)
        self._server.unreadable(status, code)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun")
        reason = "the request is not sound HTTP/1.1" if code == "bad-request" else "try again"
        media_type, body = render_refusal(status=status, code=code, reason=reason, route=None)
        headers = {"Content-Type": media_type, REASON_HEADER: code}
        response = web.Response(status=status, body=body, headers=headers)
        response.force_close()
        return response

    def _refuse_late_head(self) -> None:
        self._head_timer = None
        self._server.unreadable(408, "head-timeout")
        if self.transport is not None:
            reason = f"the head took longer than {HEAD_TIMEOUT_S:g} s"
            refusal = render_raw(408, "Request Timeout", code="head-timeout", reason=reason)
            self.transport.write(refusal)
        self.force_close()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
