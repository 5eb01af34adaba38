"""One request of a container: its head as it came, its body as it comes, and the way to answer."""

import asyncio
import ssl
from typing import Final, NamedTuple, Protocol

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.errors import CredentialProxyError
from hakoiri.credential_proxy.framing import RawHeaders
from hakoiri.credential_proxy.http1.body_reader import BodyReader
from hakoiri.credential_proxy.http1.rendering import (
    CONTINUE,
    LAST_CHUNK,
    Headers,
    render_answer_head,
    render_chunk,
    render_last_chunk,
)
from hakoiri.credential_proxy.tunnel import Tunnel

_BODYLESS: Final = frozenset({204, 205, 304})
_NO_LENGTH: Final = {204: None, 205: 0}
"""What the upstream told is not passed on: no body follows (RFC 9110, sections 8.6 and 15.3.6)."""


class BodyFaultError(CredentialProxyError):
    """The body's framing is not sound."""


class ContainerStalledError(CredentialProxyError):
    """The container sends no more of its body, or reads no more of its answer."""


class ParsedHead(NamedTuple):
    """A request's head as it came."""

    method: str
    target: str
    version: tuple[int, int]
    raw_headers: RawHeaders
    is_kept_alive: bool
    is_upgrade: bool


class Line(Protocol):
    """What a request needs of the connection it came on."""

    intercepted: Authority | None
    is_lost: bool
    is_writing_paused: bool

    @property
    def is_ending(self) -> bool:
        """Whether the connection ends after what runs on it."""
        ...

    @property
    def transport(self) -> asyncio.Transport:
        """The container's side."""
        ...

    def write(self, data: bytes) -> None:
        """Send bytes, unless nobody is there."""
        ...

    async def drain(self) -> None:
        """Wait until the container has read enough."""
        ...

    def abort(self) -> None:
        """Cut the connection at once."""
        ...

    def close_in_time(self) -> None:
        """Close once all is sent, or after a while."""
        ...

    def become(self, tunnel: Tunnel, head: bytes, glued: bytes) -> None:
        """Send `head`, then give all bytes to `tunnel`, `glued` first."""
        ...

    async def intercept(self, context: ssl.SSLContext, authority: Authority) -> None:
        """Speak TLS and serve what is inside."""
        ...


class ContainerRequest:
    """What a handler gets. `body` fails with `BodyFaultError` or `ContainerStalledError`.

    `intercepted` is the authority of the CONNECT in which this request came, if it did.
    """

    __slots__ = (
        "_connection",
        "_is_chunked",
        "_is_delimited",
        "_is_head_only",
        "body",
        "glued",
        "has_answer",
        "is_kept_alive",
        "is_upgrade",
        "method",
        "raw_headers",
        "target",
        "version",
    )

    def __init__(
        self,
        *,
        connection: Line,
        head: ParsedHead,
        body: BodyReader,
    ) -> None:
        self._connection = connection
        self.method = head.method
        self.target = head.target
        self.version = head.version
        self.raw_headers = head.raw_headers
        self.body = body
        self.is_kept_alive = head.is_kept_alive
        self.is_upgrade = head.is_upgrade
        self.glued = b""
        self.has_answer = False
        self._is_chunked = False
        self._is_delimited = False
        self._is_head_only = False

    @property
    def intercepted(self) -> Authority | None:
        """The authority of the CONNECT in which this request came, if it did."""
        return self._connection.intercepted

    @property
    def is_client_gone(self) -> bool:
        """Whether nobody is there to answer."""
        return self._connection.is_lost

    def tell_to_continue(self) -> None:
        """Ask for the body that the container holds back (RFC 9110, section 10.1.1)."""
        self._connection.write(CONTINUE)

    def begin_answer(
        self, status: int, headers: list[tuple[str, str]], *, length_bytes: int | None
    ) -> None:
        """Send the answer's head; `headers` name no framing.

        Without `length_bytes` the body is chunked, or ends with the connection for HTTP/1.0.
        """
        self._connection.write(self._head(status, headers, length_bytes))

    def _head(self, status: int, headers: list[tuple[str, str]], length_bytes: int | None) -> bytes:
        self.has_answer = True
        self._is_head_only = self.method == "HEAD" or status in _BODYLESS
        if status in _NO_LENGTH:
            length_bytes = _NO_LENGTH[status]
        if length_bytes is not None:
            headers.append(("Content-Length", str(length_bytes)))
        elif not self._is_head_only:
            self._is_chunked = self.version == (1, 1)
            if self._is_chunked:
                headers.append(("Transfer-Encoding", "chunked"))
            else:
                self.is_kept_alive = False
        self._is_delimited = self._is_chunked or length_bytes is not None
        if not self.is_kept_alive or not self.body.is_done or self._connection.is_ending:
            self.is_kept_alive = False
            headers.append(("Connection", "close"))
        elif self.version == (1, 0):
            headers.append(("Connection", "keep-alive"))
        return render_answer_head(status, headers)

    def write(self, data: bytes) -> None:
        """Send a piece of the answer's body; `drain` tells when more is wanted."""
        if self._is_head_only or not data:
            return
        self._connection.write(render_chunk(data) if self._is_chunked else data)

    async def drain(self) -> None:
        """Wait until the container has read enough.

        Raises:
            ContainerStalledError: it does not.
        """
        if self._connection.is_writing_paused:
            await self._connection.drain()

    def end_answer(self, trailers: Headers = ()) -> None:
        """Send the end of the answer."""
        if self._is_chunked:
            self._connection.write(render_last_chunk(trailers) if trailers else LAST_CHUNK)

    def answer_whole(
        self,
        status: int,
        headers: list[tuple[str, str]],
        body: bytes,
        *,
        length_bytes: int | None = None,
    ) -> None:
        """Send a whole answer at once; `length_bytes` is what an answer to HEAD tells."""
        head = self._head(status, headers, len(body) if length_bytes is None else length_bytes)
        self._connection.write(head if self._is_head_only else head + body)

    def break_off(self) -> None:
        """Close after what was sent, without the answer's end: so the container knows of both.

        An answer that would end with the connection is cut, since nothing else tells.
        """
        self.is_kept_alive = False
        if self._is_delimited:
            self._connection.close_in_time()
        else:
            self._connection.abort()

    def abort(self) -> None:
        """Cut the connection at once, and drop what is not sent yet."""
        self._connection.abort()

    @property
    def transport(self) -> asyncio.Transport:
        """The container's side, for a tunnel."""
        return self._connection.transport

    def become(self, tunnel: Tunnel, head: bytes) -> None:
        """Answer with `head` and give all further bytes to `tunnel`."""
        self.has_answer = True
        self.is_kept_alive = False
        self._connection.become(tunnel, head, self.glued)

    async def intercept(self, context: ssl.SSLContext, authority: Authority) -> None:
        """Answer the CONNECT, speak TLS by `context`, and serve what is inside until it ends.

        Raises:
            OSError: the handshake fails (ssl.SSLError is one).
        """
        self.has_answer = True
        self.is_kept_alive = False
        await self._connection.intercept(context, authority)
