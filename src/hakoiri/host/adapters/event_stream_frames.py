"""AWS event-stream frames, decoded without I/O.

A frame is: total length (4 bytes), length of the headers (4), CRC-32 of these eight (4), headers,
payload, CRC-32 of all before it (4); numbers are big-endian. Source: the AWS SDKs' specification,
https://smithy.io/2.0/aws/amazon-eventstream.html. Both sums are checked: a frame whose length is
wrong would otherwise be read as any number of others.
"""

import binascii
import struct
from dataclasses import dataclass
from typing import Final

PRELUDE_BYTES: Final = 12
SUM_BYTES: Final = 4
FRAME_LIMIT_BYTES: Final = 8 * 1024 * 1024
"""A third of what AWS allows; one piece of an answer is a few hundred bytes."""

HEADERS_LIMIT_BYTES: Final = 128 * 1024

_STRING: Final = 7
_FIXED_SIZES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_SIZED: Final = frozenset({6, _STRING})


class FrameError(Exception):
    """The bytes are not an event stream within bounds."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message: its headers of type string, and its payload."""

    headers: dict[str, str]
    payload: bytes


class FrameDecoder:
    """Feed bytes, get frames. Memory is bounded by `limit_bytes`; raises `FrameError`."""

    def __init__(self, *, limit_bytes: int = FRAME_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._pending = bytearray()

    @property
    def is_between_frames(self) -> bool:
        """Whether the stream may end here."""
        return not self._pending

    def feed(self, chunk: bytes) -> list[Frame]:
        """Take the next bytes; return the frames they complete."""
        self._pending += chunk
        frames = []
        while (length := self._next_length()) is not None and len(self._pending) >= length:
            frames.append(_parse(bytes(self._pending[:length])))
            del self._pending[:length]
        return frames

    def _next_length(self) -> int | None:
        if len(self._pending) < PRELUDE_BYTES:
            return None
        total, headers, check = struct.unpack_from(">III", self._pending)
        if binascii.crc32(self._pending[:8]) != check:
            raise FrameError("a frame's prelude has a wrong sum")
        if headers > HEADERS_LIMIT_BYTES or total > self._limit_bytes:
            raise FrameError(f"a frame is longer than {self._limit_bytes} bytes")
        if total < PRELUDE_BYTES + headers + SUM_BYTES:
            raise FrameError("a frame is shorter than its own headers")
        return int(total)


def _parse(frame: bytes) -> Frame:
    (check,) = struct.unpack_from(">I", frame, len(frame) - SUM_BYTES)
    if binascii.crc32(frame[:-SUM_BYTES]) != check:
        raise FrameError("a frame has a wrong sum")
    (headers_length,) = struct.unpack_from(">I", frame, 4)
    end = PRELUDE_BYTES + headers_length
    return Frame(_headers(frame[PRELUDE_BYTES:end]), frame[end:-SUM_BYTES])


def _headers(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            name = data[at + 1 : name_end].decode("utf-8")
            kind = data[name_end]
            at = name_end + 1
            size = _FIXED_SIZES.get(kind)
            if size is None:
                if kind not in _SIZED:
                    raise FrameError(f"a header has the unknown type {kind}")
                (size,) = struct.unpack_from(">H", data, at)
                at += 2
            if at + size > len(data):
                raise FrameError("a header reaches past the headers")
            if kind == _STRING:
                found[name] = data[at : at + size].decode("utf-8")
            at += size
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise FrameError("the headers of a frame are broken") from error
    return found
