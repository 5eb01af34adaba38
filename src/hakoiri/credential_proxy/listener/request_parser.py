"""From bytes of a container to requests: llhttp, with bounds on heads and trailers."""

from collections.abc import Callable
from enum import Enum, auto
from typing import Final

import httptools

from hakoiri.credential_proxy.errors import CredentialProxyError
from hakoiri.credential_proxy.framing import HEAD_LIMIT_BYTES, is_refused_trailer
from hakoiri.credential_proxy.listener.request import BodyFaultError, ContainerRequest, ParsedHead

HEADERS_LIMIT: Final = 100
_VERSIONS: Final = {"1.1": (1, 1), "1.0": (1, 0)}
_NO_VERSION: Final = (0, 9)


class UnsoundRequestError(CredentialProxyError):
    """What came is past a bound; llhttp passes it on as a fault of its own."""


class Progress(Enum):
    """What became of the bytes that were fed."""

    GOING_ON = auto()
    """All is sound so far."""

    UPGRADED = auto()
    """The last request asks for another protocol; nothing after it is a request."""

    BODY_UNSOUND = auto()
    """The body of the last request is not sound; the request's reader has been told."""

    UNSOUND = auto()
    """What follows the last request is not sound."""


Deliver = Callable[[ParsedHead], ContainerRequest]
"""Makes the request of a head; its body is fed from then on. May raise `UnsoundRequestError`."""


class RequestParser:
    """Feeds requests one after the other. After anything but `GOING_ON` it must not be fed."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._trailers: list[tuple[str, str]] = []
        self._head_bytes: int | None = None  # None between heads
        self._reading: ContainerRequest | None = None  # whose body is being read
        self._framing_bytes = 0  # read of a body since its last byte
        self._is_body_fed = False  # by what is being fed

    @property
    def is_in_head(self) -> bool:
        """Whether a head has begun and is not whole."""
        return self._head_bytes is not None

    @property
    def is_in_body(self) -> bool:
        """Whether a body is not whole."""
        return self._reading is not None

    def feed(self, data: bytes) -> Progress:
        """Take bytes as they come."""
        was_in_head = self.is_in_head
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._reading is not None:
                self._reading.glued = data[upgrade.args[0] :]
                self._reading.is_kept_alive = False
                self._reading = None
            return Progress.UPGRADED
        except httptools.HttpParserError:
            return self._fault()
        if was_in_head and self._head_bytes is not None:
            # llhttp keeps pieces of a header that does not end; one read alone is bounded
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_LIMIT_BYTES:
                return self._fault()
        return self._bound_framing(len(data))

    def _bound_framing(self, read_bytes: int) -> Progress:
        """Count what of a body is none of its bytes: chunk extensions and trailers without end."""
        if self._reading is None or self._is_body_fed:
            self._framing_bytes = 0
        else:
            self._framing_bytes += read_bytes
        self._is_body_fed = False
        return self._fault() if self._framing_bytes > HEAD_LIMIT_BYTES else Progress.GOING_ON

    def _fault(self) -> Progress:
        if self._reading is None or self._reading.body.is_done:
            return Progress.UNSOUND
        self._reading.body.fail(BodyFaultError("the body is not sound"))
        return Progress.BODY_UNSOUND

    def on_message_begin(self) -> None:
        """Another head begins."""
        self._url = b""
        self._headers = []
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer once the body is there."""
        if self._reading is None:
            if len(self._headers) >= HEADERS_LIMIT:
                raise UnsoundRequestError("too many headers")
            self._headers.append((name, value))
            return
        if len(self._trailers) >= HEADERS_LIMIT or is_refused_trailer(name, value):
            raise UnsoundRequestError("a trailer that is not taken")
        self._trailers.append((name.decode("ascii").lower(), value.decode("ascii")))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        parser = self._parser
        self._head_bytes = None
        self._trailers = []
        self._reading = self._deliver(
            ParsedHead(
                method=parser.get_method().decode("ascii"),
                target=self._url.decode("latin-1"),
                version=_VERSIONS.get(parser.get_http_version(), _NO_VERSION),
                raw_headers=tuple(self._headers),
                is_kept_alive=parser.should_keep_alive(),
                is_upgrade=parser.should_upgrade(),
            )
        )

    def on_body(self, chunk: bytes) -> None:
        """A piece of the body."""
        self._is_body_fed = True
        if self._reading is not None:
            self._reading.body.feed(chunk)

    def on_message_complete(self) -> None:
        """The body is whole."""
        if self._reading is not None:
            self._reading.body.trailers = tuple(self._trailers)
            self._reading.body.finish()
            if not self._reading.is_upgrade:
                self._reading = None
