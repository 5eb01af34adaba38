"""Usage in the frames of a Bedrock answer. No I/O.

A frame is its length, the length of its headers and the CRC-32 of both, then headers, payload and
another CRC-32; numbers are big-endian (Smithy, "application/vnd.amazon.eventstream").
`InvokeModelWithResponseStream` puts an event of the model's own into each payload, in base64;
`ConverseStream` ends with one that holds `usage`.
"""

import base64
import binascii
import struct
import zlib
from typing import Final

from hakoiri.credential_proxy.budgets.anthropic_usage import AnthropicEvents
from hakoiri.credential_proxy.budgets.told_usage import METRICS_FIELD, read_object, usage_of
from hakoiri.credential_proxy.budgets.usage import Usage

FRAME_LIMIT_BYTES: Final = 64 * 1024
"""Frames that tell of usage are under a kilobyte; longer ones are passed over, not kept."""

_PRELUDE_BYTES: Final = 12
_SUM_BYTES: Final = 4
_CHUNK: Final = b'"bytes"'
_USAGE: Final = b'"usage"'


def _shapes_in_base64(word: bytes) -> tuple[bytes, ...]:
    """Return the part of `word` in base64 that is its own, for each place it can stand at."""
    shapes = []
    for before in range(3):
        text = base64.b64encode(bytes(before) + word)
        shapes.append(text[-(-before * 4 // 3) : (before + len(word)) * 4 // 3])
    return tuple(shapes)


_TELLING: Final = tuple(
    shape
    for word in (b'"usage"', b"message_stop", METRICS_FIELD.encode())
    for shape in _shapes_in_base64(word)
)


class FrameUsage:
    """Reads `application/vnd.amazon.eventstream`. After a frame that is not sound it reads none."""

    def __init__(self) -> None:
        self._events = AnthropicEvents()
        self._pending = bytearray()
        self._skip_bytes = 0
        self._is_lost = False
        self._converse: Usage | None = None

    @property
    def usage(self) -> Usage:
        """What was told so far."""
        return self._events.usage if self._converse is None else self._converse

    @property
    def is_final(self) -> bool:
        """Whether the answer came to its end."""
        return self._events.is_final or self._converse is not None

    @property
    def model(self) -> str | None:
        """The model that answered, where it says so."""
        return self._events.model

    def feed(self, piece: bytes) -> None:
        """Take the next bytes."""
        if self._is_lost:
            return
        if self._skip_bytes:
            passed = min(self._skip_bytes, len(piece))
            self._skip_bytes -= passed
            piece = piece[passed:]
        self._pending += piece
        while len(self._pending) >= _PRELUDE_BYTES and not self._is_lost:
            total, headers, check = struct.unpack_from(">III", self._pending)
            is_sound = zlib.crc32(self._pending[:8]) == check
            if not is_sound or total < _PRELUDE_BYTES + headers + _SUM_BYTES:
                self._is_lost = True
                self._pending.clear()
            elif total > FRAME_LIMIT_BYTES:
                passed = min(total, len(self._pending))
                self._skip_bytes = total - passed
                del self._pending[:passed]
            elif total <= len(self._pending):
                self._read(bytes(self._pending[_PRELUDE_BYTES + headers : total - _SUM_BYTES]))
                del self._pending[:total]
            else:
                return

    def finish(self) -> None:
        """Nothing is left to read."""

    def _read(self, payload: bytes) -> None:
        if _CHUNK in payload:
            if not any(shape in payload for shape in _TELLING):
                return
            encoded = read_object(payload).get("bytes")
            try:
                event = base64.b64decode(encoded, validate=True) if encoded else b""
            except (binascii.Error, ValueError, TypeError):
                return
            self._events.take(read_object(event))
        elif _USAGE in payload:
            self._converse = usage_of(read_object(payload).get("usage"))
