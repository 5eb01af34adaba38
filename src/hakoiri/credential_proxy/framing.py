"""What is wrong with a request's head that the HTTP parser lets pass.

The parser (aiohttp's, llhttp inside) already refuses doubled or odd lengths, folded lines and bare
line feeds. This refuses the rest: other HTTP versions, codings with HTTP/1.0, more than one way to
tell the length, heads that are too long, and characters that some hop would read differently.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from hakoiri.credential_proxy.authority import Authority

HEAD_LIMIT_BYTES: Final = 64 * 1024
_VISIBLE_ASCII: Final = re.compile(rb"[\t\x20-\x7e]*")
_VISIBLE_BYTES: Final = bytes([0x09, *range(0x20, 0x7F)])
_TARGET: Final = re.compile(r"[\x21-\x7e]+")
_TOKEN: Final = re.compile(rb"[0-9A-Za-z!#$%&'*+.^_`|~-]+")
_TRAILERS: Final = frozenset(
    {b"content-digest", b"content-md5", b"digest", b"repr-digest", b"server-timing"}
)
_TRAILER_PREFIXES: Final = (b"x-amz-checksum-", b"grpc-")
_VERSIONS: Final = frozenset({(1, 0), (1, 1)})
_ANSWER_VERSIONS: Final = frozenset({"1.0", "1.1"})
_STATUS_MIN: Final = 100
_CODING: Final = "transfer-encoding"
_FRAMING_NAMES: Final = frozenset({b"content-length", b"transfer-encoding"})

RawHeaders = tuple[tuple[bytes, bytes], ...]
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request's first lines as they came; header names in lower case, values in ASCII.

    `intercepted` is the authority of the CONNECT in which the request came, if it did.
    """

    method: str
    target: str
    version: tuple[int, int]
    headers: Headers
    intercepted: Authority | None = None
    _by_name: Mapping[str, list[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name: dict[str, list[str]] = {}
        for name, value in self.headers:
            by_name.setdefault(name, []).append(value)
        object.__setattr__(self, "_by_name", by_name)

    def values(self, name: str) -> Sequence[str]:
        """Return the values of the header `name` (lower case), in order."""
        return self._by_name.get(name, ())

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return bool(self.values("transfer-encoding"))

    @property
    def content_length_bytes(self) -> int | None:
        """The length of the body as told, if told."""
        values = self.values("content-length")
        return int(values[0]) if values else None

    @property
    def has_body(self) -> bool:
        """Whether a body follows."""
        return self.is_chunked or bool(self.content_length_bytes)


def find_fault(
    *, method: str, target: str, version: tuple[int, int], raw_headers: RawHeaders
) -> str | None:
    """Tell what is wrong with the head (RFC 9112), or None when nothing is."""
    if version not in _VERSIONS:
        return "only HTTP/1.1 and HTTP/1.0 are spoken here"
    if _TARGET.fullmatch(target) is None:
        return "the request target holds a character outside visible ASCII"
    names = [name for name, _ in raw_headers]
    all_names, all_values = b"".join(names), b"".join([value for _, value in raw_headers])
    size = len(target) + len(all_names) + len(all_values) + 4 * len(names)
    if size > HEAD_LIMIT_BYTES:
        return f"the head is longer than {HEAD_LIMIT_BYTES} bytes"
    is_named = all(names) and (not names or _TOKEN.fullmatch(all_names) is not None)
    if not is_named or all_values.translate(None, _VISIBLE_BYTES):
        return "a header holds a character outside visible ASCII"
    for name in names:
        if b"_" in name and name.replace(b"_", b"-").lower() in _FRAMING_NAMES:
            return "the length of the body is told in a name that some servers read as another"
    return _find_length_fault(method, version, raw_headers)


def _find_length_fault(
    method: str, version: tuple[int, int], raw_headers: RawHeaders
) -> str | None:
    named: dict[bytes, list[bytes]] = {}
    for name, value in raw_headers:
        named.setdefault(name.lower(), []).append(value)
    lengths = named.get(b"content-length", [])
    codings = named.get(b"transfer-encoding", [])
    if len(named.get(b"host", [])) > 1:
        return "more than one Host"
    if version == (1, 1) and b"host" not in named:
        return "Host is missing"
    if lengths and (len(lengths) > 1 or codings or not lengths[0].isdigit()):
        return "the length of the body is told in more than one way"
    if codings and (version == (1, 0) or [c.lower() for c in codings] != [b"chunked"]):
        return "the transfer coding must be chunked alone, in HTTP/1.1"
    if method == "CONNECT" and (codings or lengths not in ([], [b"0"])):
        return "CONNECT has no body"
    return None


def find_answer_fault(status: int, version: str, headers: Iterable[tuple[str, str]]) -> str | None:
    """Tell what is wrong with the head of an answer that the parser let pass, or None.

    A coding besides `chunked` was never asked for (`TE` does not travel on), and what it hides is
    not looked through.
    """
    if version not in _ANSWER_VERSIONS:
        return "the upstream answers in another protocol than HTTP/1.1"
    if status < _STATUS_MIN:
        return "the upstream's answer has no sound status"
    codings = [value.strip().lower() for name, value in headers if name.lower() == _CODING]
    if codings and (codings != ["chunked"] or version != "1.1"):
        return "the upstream's answer is in a transfer coding that was not asked for"
    return None


def is_refused_trailer(name: bytes, value: bytes) -> bool:
    """Whether a trailer is none of the few that are taken: checksums, and what gRPC ends with.

    Anything else could change how the request is framed, routed or authorised (RFC 9110, section
    6.5.1).
    """
    lowered = name.lower()
    is_known = lowered in _TRAILERS or lowered.startswith(_TRAILER_PREFIXES)
    return not is_known or _VISIBLE_ASCII.fullmatch(value) is None


def head_of(
    *,
    method: str,
    target: str,
    version: tuple[int, int],
    raw_headers: RawHeaders,
    intercepted: Authority | None = None,
) -> RequestHead:
    """Build the head of a request in which `find_fault` found none."""
    headers = tuple(
        [(name.decode("ascii").lower(), value.decode("ascii")) for name, value in raw_headers]
    )
    return RequestHead(method, target, version, headers, intercepted)
