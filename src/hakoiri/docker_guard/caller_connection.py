"""One connection of a caller's: a request comes in whole, its answer goes out, then the next.

HTTP/1.1 as llhttp reads it, through httptools, and less than that: a body has a length, nothing
comes before its turn, nothing is upgraded. Anything else is answered once, and the connection ends.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Protocol, cast

import httptools

from hakoiri.docker_guard.calls import Call
from hakoiri.docker_guard.refusal import CallRefusedError

HEAD_LIMIT_BYTES: Final = 8190
HEADERS_LIMIT: Final = 64
REQUEST_TIMEOUT_S: Final = 30.0
"""How long a request may take to come in."""

LINGER_S: Final = 2.0
"""How long what follows a refusal is read and dropped: on a connection that is closed at once its
sender might not read why."""

VERSION: Final = "1.1"
_PEER: Final = struct.Struct("3i")
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_WITHOUT_A_BODY: Final = frozenset({204, 304})
"""RFC 9110, sections 15.3.5 and 15.4.5."""


@dataclass(slots=True)
class Request:
    """A request as it comes in; names of headers in lower case.

    `call` is what its head asks for; `method` is empty if it is no request at all.
    """

    pid: int
    uid: int
    method: str = ""
    target: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    call: Call | None = None
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """What goes back; after one that `ends`, the connection is closed."""

    status: int
    content: bytes = b""
    media_type: str = "application/json"
    ends: bool = False


class Answers(Protocol):
    """Who answers."""

    def read_head(self, request: Request) -> Call:
        """Return the call; raise `CallRefusedError` for the head alone, before a body is read."""
        ...

    def refuse(self, request: Request, error: CallRefusedError) -> Response:
        """Answer a request that is refused for its head, or is none."""
        ...

    async def answer(self, request: Request) -> Response:
        """Answer a whole request."""
        ...


Start = Callable[[Coroutine[Any, Any, None]], None]
"""Has something done that goes on when the connection is gone."""


class CallerConnection(asyncio.Protocol):
    """Serves one caller. What was asked for is carried out, though he may be gone meanwhile."""

    def __init__(
        self, answers: Answers, *, start: Start, lost: Callable[["CallerConnection"], None]
    ) -> None:
        self._answers = answers
        self._start = start
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._peer = (-1, -1)
        self._is_in_hand = False  # a request is being answered
        self._has_more = False  # and another came before its turn
        self._is_ending = False  # the last answer is out
        self._clear()

    def _clear(self) -> None:
        self._request = Request(*self._peer)
        self._url: list[bytes] = []
        self._body: list[bytes] = []
        self._read_bytes = 0
        self._has_head = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being answered."""
        return not self._is_in_hand

    def close(self) -> None:
        """End it at once."""
        self._is_ending = True
        self._stop_timer()
        if self._transport is not None:
            self._transport.abort()

    # The transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note who called."""
        self._transport = cast("asyncio.Transport", transport)
        self._peer = peer_of(transport)
        self._clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller is gone."""
        del exc
        self._transport = None
        self._is_ending = True
        self._stop_timer()
        self._lost(self)

    def data_received(self, data: bytes) -> None:
        """Parse a piece of a request."""
        if self._is_ending:
            return
        if self._is_in_hand:
            self._wait_no_more()
            return
        if self._read_bytes == 0:
            self._set_timer(REQUEST_TIMEOUT_S)
        self._read_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse_unsound()
        else:
            if not self._has_head and self._read_bytes > HEAD_LIMIT_BYTES:
                self._refuse_unsound()

    # The parser's calls

    def on_message_begin(self) -> None:
        """A request begins; one before its turn ends the parsing."""
        if self._is_in_hand or self._is_ending:
            raise httptools.HttpParserError("before its turn")

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._url.append(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, there once; more of them than are taken end the parsing."""
        headers, lowered = self._request.headers, name.decode("latin-1").lower()
        if lowered in headers or len(headers) >= HEADERS_LIMIT:
            raise httptools.HttpParserError(lowered)
        headers[lowered] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is whole: what it asks for is decided before a body is read."""
        self._has_head = True
        request, target = self._request, b"".join(self._url)
        length = (
            len(target) + sum(map(len, request.headers)) + sum(map(len, request.headers.values()))
        )
        if length > HEAD_LIMIT_BYTES or self._parser.get_http_version() != VERSION:
            self._refuse_unsound()
            return
        request.method = self._parser.get_method().decode("latin-1")
        request.target = target.decode("latin-1")
        try:
            request.call = self._answers.read_head(request)
        except CallRefusedError as error:
            self._end(self._answers.refuse(request, error))

    def on_body(self, chunk: bytes) -> None:
        """A piece of the body, which is as long as the head said."""
        if not self._is_ending:
            self._body.append(chunk)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._is_ending:
            return
        self._stop_timer()
        self._is_in_hand = True
        self._request.body = b"".join(self._body)
        self._start(self._serve(self._request, is_last=not self._parser.should_keep_alive()))

    # Inside

    async def _serve(self, request: Request, *, is_last: bool) -> None:
        response = await self._answers.answer(request)
        self._is_in_hand = False
        if response.ends or is_last or self._has_more:
            self._end(response)
        elif (transport := self._open_transport()) is not None:
            self._clear()
            transport.write(rendered(response))

    def _open_transport(self) -> asyncio.Transport | None:
        """Return what can be written to; None if the caller is gone, or has had the last answer."""
        transport = self._transport
        if self._is_ending or transport is None or transport.is_closing():
            return None
        return transport

    def _wait_no_more(self) -> None:
        """Read nothing of what comes before its turn."""
        self._has_more = True
        if self._transport is not None:
            self._transport.pause_reading()

    def _refuse_unsound(self) -> None:
        """Refuse what is no request, unless one is being answered, after which all ends."""
        if self._is_in_hand:
            self._wait_no_more()
        elif not self._is_ending:
            error = CallRefusedError("request-unreadable", "this is not HTTP/1.1", status=400)
            self._end(self._answers.refuse(Request(*self._peer), error))

    def _end(self, response: Response) -> None:
        """Answer for the last time; drop what is still sent, for a moment."""
        transport = self._open_transport()
        self._is_ending = True
        if transport is not None:
            transport.write(rendered(response, ends=True))
            transport.write_eof()
            transport.resume_reading()
            self._set_timer(LINGER_S)

    def _set_timer(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def rendered(response: Response, *, ends: bool = False) -> bytes:
    """Return the bytes of an answer."""
    head = f"HTTP/1.1 {response.status} {_PHRASES.get(response.status, 'Unknown')}\r\n"
    if response.status not in _WITHOUT_A_BODY:
        head += f"Content-Length: {len(response.content)}\r\n"
    if response.content:
        head += f"Content-Type: {response.media_type}\r\n"
    if ends:
        head += "Connection: close\r\n"
    return f"{head}\r\n".encode("latin-1") + response.content


def peer_of(transport: asyncio.BaseTransport) -> tuple[int, int]:
    """Return the caller's process and user, as the kernel says (unix(7), SO_PEERCRED)."""
    connected = transport.get_extra_info("socket")
    if connected is None:
        return -1, -1
    said = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    pid, uid, _ = _PEER.unpack(said)
    return pid, uid
