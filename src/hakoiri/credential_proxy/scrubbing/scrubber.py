"""Taking secrets out of bytes that come in pieces."""

import base64
from collections.abc import Iterable
from typing import Final, Self
from urllib.parse import quote

SECRET_MIN_CHARS: Final = 8
"""Shorter ones are not looked for: they would be found in answers that do not hold them."""

_STAR: Final = b"*"
_NUL: Final = b"\0"
_ALIGNMENTS: Final = 3


class SecretPatterns:
    """How secrets could look in an answer; made once for each set of secrets.

    Each is looked for as it is, percent-encoded, in hexadecimal, with JSON's escaped slash, and in
    both alphabets of base64 at each of its three alignments (the part that does not depend on what
    stands before and after). Other encodings are not seen.
    """

    __slots__ = ("_first_bytes", "_longest", "patterns")

    def __init__(self, patterns: Iterable[bytes]) -> None:
        """Take patterns as they are; the longer ones are replaced first."""
        self.patterns = tuple(sorted(set(patterns), key=len, reverse=True))
        self._first_bytes = tuple({pattern[:1] for pattern in self.patterns})
        self._longest = max((len(pattern) for pattern in self.patterns), default=0)

    @classmethod
    def of(cls, secrets: Iterable[str]) -> Self:
        """Take secrets, visible ASCII each; those that are too short are left out."""
        return cls(
            pattern
            for secret in secrets
            if len(secret) >= SECRET_MIN_CHARS
            for pattern in _spellings(secret)
        )

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def replace(self, data: bytes) -> tuple[bytes, int]:
        """Return `data`, as long as it was, with stars for secrets, and how many there were."""
        found = 0
        # The search for a long pattern jumps, and waits for memory at each jump. Reading once in
        # order brings the bytes near: 0.1 instead of 0.26 ms for 250 KB.
        data.find(_NUL)
        for pattern in self.patterns:
            if pattern in data:
                found += data.count(pattern)
                data = data.replace(pattern, _STAR * len(pattern))
        return data, found

    def begun_at(self, data: bytes) -> int:
        """Return where the longest end of `data` starts that some secret could begin with."""
        start = max(0, len(data) - self._longest + 1)
        tail = data[start:]
        at = len(tail)
        for first in self._first_bytes:
            index = tail.find(first)
            while 0 <= index < at:
                if self._is_beginning(tail[index:]):
                    at = index
                    break
                index = tail.find(first, index + 1)
        return start + at

    def _is_beginning(self, piece: bytes) -> bool:
        """Whether a pattern that is longer begins with `piece`."""
        length = len(piece)
        return any(len(p) > length and p.startswith(piece) for p in self.patterns)


class StreamScrubber:
    """Scrubs one answer. Holds back only what could be the beginning of a secret."""

    __slots__ = ("_held", "_patterns", "found")

    def __init__(self, patterns: SecretPatterns) -> None:
        self._patterns = patterns
        self._held = b""
        self.found = 0

    def feed(self, chunk: bytes) -> bytes:
        """Take a piece; return what can be passed on, which may be empty."""
        data, found = self._patterns.replace(self._held + chunk if self._held else chunk)
        self.found += found
        at = self._patterns.begun_at(data)
        if at == len(data):
            self._held = b""
            return data
        self._held = data[at:]
        return data[:at]

    def finish(self) -> bytes:
        """Return what is still held: no secret, since it never became a whole one."""
        held, self._held = self._held, b""
        return held


def scrub_headers(
    headers: Iterable[tuple[str, str]], patterns: SecretPatterns
) -> tuple[tuple[tuple[str, str], ...], int]:
    """Return headers with stars for secrets, in their names too, and how many there were."""
    given = tuple(headers)
    # All at once; no secret holds the NUL or the line break between them.
    whole = "\n".join([f"{name}\0{value}" for name, value in given])
    if not patterns.replace(whole.encode("latin-1"))[1]:
        return given, 0
    scrubbed = []
    total = 0
    for name, value in given:
        both, found = patterns.replace(f"{name}\0{value}".encode("latin-1"))
        total += found
        clean_name, _, clean_value = both.decode("latin-1").partition("\0")
        scrubbed.append((clean_name, clean_value) if found else (name, value))
    return tuple(scrubbed), total


def _spellings(secret: str) -> Iterable[bytes]:
    raw = secret.encode("ascii")
    yield raw
    encoded = quote(secret, safe="")
    yield encoded.encode()
    yield _lower_escapes(encoded).encode()
    yield secret.replace("/", "\\/").replace('"', '\\"').encode()
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for alignment in range(_ALIGNMENTS):
        inner = _base64_inner(raw, alignment)
        if len(inner) >= SECRET_MIN_CHARS:
            yield inner
            yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def _lower_escapes(encoded: str) -> str:
    first, *rest = encoded.split("%")
    return first + "".join("%" + piece[:2].lower() + piece[2:] for piece in rest)


def _base64_inner(raw: bytes, alignment: int) -> bytes:
    """Return the part of the base64 of `raw`, after `alignment` other bytes, that is its own."""
    text = base64.b64encode(bytes(alignment) + raw).rstrip(b"=")
    start = (alignment * 8 + 5) // 6
    end = (alignment + len(raw)) * 8 // 6
    return text[start:end]
