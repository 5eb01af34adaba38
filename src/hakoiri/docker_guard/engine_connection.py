"""One connection to the engine: a request goes out, its whole answer comes in, then the next.

HTTP/1.1 as llhttp reads it, through httptools, as in the credential proxy: a call that comes to
cold caches costs what it runs through, and a general client is a long way.
"""

import asyncio
from typing import Final, cast

import httptools

INTERIM: Final = range(100, 200)
_LENGTHS: Final = frozenset({b"content-length", b"transfer-encoding"})
"""What tells an answer's length (RFC 9112, section 6.3)."""


class BrokenOffError(ConnectionError):
    """The engine ended the connection, or sent what is no answer.

    `is_unheard` if it was an old connection on which not a byte of an answer came.
    """

    def __init__(self, message: str, *, is_unheard: bool = False) -> None:
        super().__init__(message)
        self.is_unheard = is_unheard


class AnswerTooLongError(BrokenOffError):
    """An answer has more bytes than are taken."""


class EngineConnection(asyncio.Protocol):
    """Takes one request at a time. `is_reusable` while it stands and nothing is under way."""

    def __init__(self, *, limit_bytes: int) -> None:
        """Take answers of so many bytes at most, heads and framing counted."""
        self._limit_bytes = limit_bytes
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[None] | None = None
        self._is_used = False
        self._clear()
        self.is_reusable = False

    def _clear(self) -> None:
        self._left_bytes = self._limit_bytes
        self._status = 0
        self._content: list[bytes] = []
        self._has_length = False
        self._is_whole = False

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a whole request; return its answer's status and body.

        Raises `BrokenOffError`. Given up meanwhile, the connection ends.
        """
        transport = self._transport
        if transport is None or not self.is_reusable:
            raise BrokenOffError("the connection is gone", is_unheard=self._is_used)
        self.is_reusable = False
        self._clear()
        self._answered = asyncio.get_running_loop().create_future()
        transport.write(request)
        try:
            await self._answered
        except BaseException:
            self.close()
            raise
        finally:
            self._answered = None
            self._is_used = True
        return self._status, b"".join(self._content)

    def close(self) -> None:
        """End it at once."""
        self.is_reusable = False
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    # The transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self._transport = cast("asyncio.Transport", transport)
        self.is_reusable = True

    def eof_received(self) -> None:
        """The engine will send no more, and the transport closes; nothing more is asked over it."""
        self.is_reusable = False

    def connection_lost(self, exc: Exception | None) -> None:
        """The engine is gone; an answer that ends with the connection is whole now."""
        self.is_reusable = False
        self._transport = None
        if exc is None and self._status and not self._has_length and not self._is_whole:
            self._finish()
        is_unheard = self._is_used and self._left_bytes == self._limit_bytes
        self._fail(BrokenOffError("it broke off", is_unheard=is_unheard))

    def data_received(self, data: bytes) -> None:
        """Parse a piece of the answer."""
        self._left_bytes -= len(data)
        if self._answered is None:
            self.close()  # nothing was asked
        elif self._left_bytes < 0:
            self._end_by(AnswerTooLongError("its answer is too long"))
        else:
            try:
                self._parser.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade):
                self._end_by(BrokenOffError("its answer is not sound"))

    # The parser's calls

    def on_message_begin(self) -> None:
        """A head begins; after a whole answer there is none to come."""
        if self._is_whole:
            raise BrokenOffError("it answered twice")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note whether the length of the body is told."""
        del value
        if name.lower() in _LENGTHS:
            self._has_length = True

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._status = self._parser.get_status_code()

    def on_body(self, chunk: bytes) -> None:
        """A piece of the body."""
        self._content.append(chunk)

    def on_message_complete(self) -> None:
        """The answer is whole, or it was one before it (RFC 9110, section 15.2)."""
        if self._status in INTERIM:
            self._status = 0
            self._has_length = False
            return
        self._finish()

    # Inside

    def _finish(self) -> None:
        self._is_whole = True
        is_kept = self._transport is not None and self._parser.should_keep_alive()
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)
            self.is_reusable = is_kept
        if not is_kept:
            self.close()

    def _end_by(self, error: BrokenOffError) -> None:
        self._fail(error)
        self.close()

    def _fail(self, error: BrokenOffError) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)
