"""One connection to an upstream: a request goes out, its answer comes in, then the next."""

import asyncio
from typing import Final, cast

import httptools

from hakoiri.credential_proxy.errors import UpstreamError
from hakoiri.credential_proxy.framing import HEAD_LIMIT_BYTES, find_answer_fault
from hakoiri.credential_proxy.http1.body_reader import BodyReader
from hakoiri.credential_proxy.http1.lazy_timer import LazyTimer

Headers = tuple[tuple[str, str], ...]

IDLE_TIMEOUT_S: Final = 600.0
"""How long an upstream may be silent in the middle of an answer; models think for minutes."""

HEADERS_LIMIT: Final = 256
INTERIM_ANSWERS_LIMIT: Final = 16
SWITCHING_PROTOCOLS: Final = 101
_WRITE_BUFFER_BYTES: Final = 256 * 1024
_INTERIM: Final = range(100, 200)
_LENGTHS: Final = frozenset({"content-length", "transfer-encoding"})
"""What tells an answer's length (RFC 9112, section 6.3)."""


class UpstreamConnection(asyncio.Protocol):
    """Parses with llhttp. `begin` a request, `write` it, await `answer`, read `body`.

    `epoch` says by which settings it was made; `is_reusable` whether another request may follow.
    Answers that nobody asked for, more bytes than an answer has, and unsound framing end the
    connection.
    """

    transport: asyncio.Transport

    def __init__(self, *, loop: asyncio.AbstractEventLoop, address: str, epoch: int = 0) -> None:
        self._loop = loop
        self.address = address
        self.epoch = epoch
        self._timer = LazyTimer(loop=loop, action=self._time_is_up)
        self._parser = httptools.HttpResponseParser(self)
        self._method = ""
        self._headers: list[tuple[str, str]] = []
        self._framing_bytes = 0  # read since the last byte of a body
        self._is_body_fed = False  # by what is being fed
        self._is_head_whole = False
        self._interim_answers = 0
        self._answered: asyncio.Future[None] | None = None
        self._error: UpstreamError | None = None
        self._drained: asyncio.Future[None] | None = None
        self._is_busy = False
        self._is_request_sent = False
        self._is_until_end = False
        self.is_paused = False
        self.is_lost = False
        self.has_bytes = False
        self.is_reused = False
        self.is_reusable = False
        self.status = 0
        self.headers: Headers = ()
        self.glued = b""
        self.body = self._new_body()

    # The transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        """The upstream is gone; an answer that ends with the connection is whole now."""
        self.is_lost = True
        self.is_reusable = False
        self._timer.close()
        if self._is_head_whole and self._is_until_end and exc is None:
            self.body.finish()
        self._fail(UpstreamError("upstream-broken", "the upstream broke off"))

    def data_received(self, data: bytes) -> None:
        """Parse a piece of the answer."""
        if not self._is_busy:
            self.close()
            return
        self.has_bytes = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.glued = data[upgrade.args[0] :]
            self.transport.pause_reading()
        except httptools.HttpParserError:
            self._fail(UpstreamError("upstream-broken", "the upstream's answer is not sound"))
            self.close()
        else:
            self._bound_framing(len(data))

    def _bound_framing(self, read_bytes: int) -> None:
        """Count what is no body: heads, chunk extensions and trailers, which are all kept."""
        self._framing_bytes = 0 if self._is_body_fed else self._framing_bytes + read_bytes
        self._is_body_fed = False
        if self._framing_bytes > HEAD_LIMIT_BYTES:
            part = "trailer" if self._is_head_whole else "head"
            reason = f"the {part} of the upstream's answer is too long"
            self._fail(UpstreamError("upstream-broken", reason))
            self.close()

    def pause_writing(self) -> None:
        """The upstream takes no more for now."""
        self.is_paused = True

    def resume_writing(self) -> None:
        """The upstream takes more again."""
        self.is_paused = False
        self._wake_drained()

    # The parser's calls

    def on_message_begin(self) -> None:
        """A head begins."""
        if self._is_head_whole or not self._is_busy:
            self.is_reusable = False
            raise UpstreamError("upstream-broken", "the upstream sent more than it was asked for")
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is dropped."""
        if self._is_head_whole:
            return
        if len(self._headers) >= HEADERS_LIMIT:
            raise UpstreamError("upstream-broken", "the upstream's answer has too many headers")
        self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        status = self._parser.get_status_code()
        if status in _INTERIM and status != SWITCHING_PROTOCOLS:
            self._interim_answers += 1
            if self._interim_answers > INTERIM_ANSWERS_LIMIT:
                raise UpstreamError("upstream-broken", "the upstream only sends interim answers")
            return
        fault = find_answer_fault(status, self._parser.get_http_version(), self._headers)
        if fault is not None:
            raise UpstreamError("upstream-broken", fault)
        self.status = status
        self.headers = tuple(self._headers)
        self._is_head_whole = True
        self._is_until_end = all(name.lower() not in _LENGTHS for name, _ in self._headers)
        if self._method == "HEAD":
            self._finish_message(is_reusable=self._parser.should_keep_alive())
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)
        self._wake_drained()

    def on_body(self, chunk: bytes) -> None:
        """A piece of the body."""
        self._is_body_fed = True
        if self.body.is_done:  # of an answer to HEAD, which has none
            self.is_reusable = False
            return
        self.body.feed(chunk)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._is_head_whole and not self.body.is_done:
            self._finish_message(is_reusable=self._parser.should_keep_alive())

    def _finish_message(self, *, is_reusable: bool) -> None:
        has_switched = self.status == SWITCHING_PROTOCOLS
        self.is_reusable = is_reusable and self._is_request_sent and not has_switched
        self.body.finish()

    # One request

    def begin(self, method: str) -> None:
        """Begin a request; the answer that comes from now on is to it."""
        if self._method == "HEAD":  # llhttp cannot be told that there was no body
            self._parser = httptools.HttpResponseParser(self)
        self._method = method
        self._framing_bytes = 0
        self._is_body_fed = False
        self._is_head_whole = False
        self._interim_answers = 0
        self._error = None
        self._is_busy = True
        self._is_request_sent = False
        self.is_reused = self.is_reusable
        self.is_reusable = False
        self.has_bytes = False
        self.body = self._new_body()

    def write(self, data: bytes) -> None:
        """Send a piece of the request."""
        if not self.is_lost:
            self.transport.write(data)

    async def drain(self) -> None:
        """Wait until the upstream takes more, or answers, or is gone."""
        if self.is_paused and not self.is_lost and not self.has_answer:
            self._timer.set(IDLE_TIMEOUT_S)
            self._drained = self._loop.create_future()
            try:
                await self._drained
            finally:
                self._drained = None

    def sent(self) -> None:
        """The request is sent as a whole."""
        self._is_request_sent = True

    @property
    def has_answer(self) -> bool:
        """Whether the answer's head is there, or will never be."""
        return self._is_head_whole or self._error is not None

    async def answer(self) -> None:
        """Wait for the answer's head: `status` and `headers`.

        Raises:
            UpstreamError: there is none.
        """
        if not self.has_answer:
            self._timer.set(IDLE_TIMEOUT_S)
            self._answered = self._loop.create_future()
            try:
                await self._answered
            finally:
                self._answered = None
        if self._error is not None and not self._is_head_whole:
            raise self._error

    def rest(self) -> None:
        """Nothing is under way; what comes now ends the connection."""
        self._is_busy = False
        if self.body.is_held:  # left unread, so that nothing more would be heard
            self.is_reusable = False
        self._timer.clear()

    def close(self) -> None:
        """End the connection at once."""
        self.is_reusable = False
        self._timer.close()
        if hasattr(self, "transport") and not self.is_lost:
            self.transport.abort()

    # Inside

    def _new_body(self) -> BodyReader:
        return BodyReader(hold=self._hold, release=self._release, before_wait=self._await_body)

    def _hold(self) -> None:
        if not self.is_lost:
            self.transport.pause_reading()

    def _release(self) -> None:
        if not self.is_lost and not self.transport.is_closing():
            self.transport.resume_reading()

    def _await_body(self) -> None:
        self._timer.set(IDLE_TIMEOUT_S)

    def _time_is_up(self) -> None:
        if self._is_busy and (self._answered or self._drained or self.body.is_waiting):
            reason = "the upstream did not answer in time"
            self._fail(UpstreamError("upstream-timeout", reason, status=504))
            self.close()

    def _fail(self, error: UpstreamError) -> None:
        if self._error is None:
            self._error = error
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)
        self._wake_drained()
        self.body.fail(self._error)

    def _wake_drained(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
