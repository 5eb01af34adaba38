"""AWS event-stream frames, as Bedrock's response stream carries them. Pure.

A frame is total length, headers length and their CRC-32 (the prelude), headers, payload, and the
CRC-32 of all before it; integers are big-endian (AWS SDK docs, "Event stream encoding"; Smithy,
`application/vnd.amazon.eventstream`). Only string headers are needed here.
"""

import base64
import json
import struct
import zlib
from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

MEDIA_TYPE: Final = "application/vnd.amazon.eventstream"
STRING_TYPE: Final = 7
NAME_LIMIT_BYTES: Final = 255
VALUE_LIMIT_BYTES: Final = 32_767
HEADERS_LIMIT_BYTES: Final = 128 * 1024
PAYLOAD_LIMIT_BYTES: Final = 24 * 1024 * 1024


class EventStreamError(Exception):
    """The message does not fit into a frame; the text names the part and its limit."""


def encode_frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One frame. Raises `EventStreamError` when a part is over the format's limit."""
    packed = b"".join(_header(name, value) for name, value in headers.items())
    if len(packed) > HEADERS_LIMIT_BYTES:
        raise EventStreamError(f"headers are longer than {HEADERS_LIMIT_BYTES} bytes")
    if len(payload) > PAYLOAD_LIMIT_BYTES:
        raise EventStreamError(f"the payload is longer than {PAYLOAD_LIMIT_BYTES} bytes")
    lengths = struct.pack("!II", 12 + len(packed) + len(payload) + 4, len(packed))
    message = lengths + struct.pack("!I", zlib.crc32(lengths)) + packed + payload
    return message + struct.pack("!I", zlib.crc32(message))


def chunk_frame(event: Mapping[str, JsonValue]) -> bytes:
    """One Anthropic stream event as Bedrock's `chunk` (AWS API: `PayloadPart`)."""
    packed = base64.b64encode(json.dumps(event).encode()).decode()
    return encode_frame(
        {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"},
        json.dumps({"bytes": packed}).encode(),
    )


def exception_frame(kind: str, message: str) -> bytes:
    """An exception inside the stream; `kind` is a member of AWS's `ResponseStream` union."""
    return encode_frame(
        {
            ":exception-type": kind,
            ":content-type": "application/json",
            ":message-type": "exception",
        },
        json.dumps({"message": message}).encode(),
    )


def _header(name: str, value: str) -> bytes:
    name_bytes, value_bytes = name.encode(), value.encode()
    if not 0 < len(name_bytes) <= NAME_LIMIT_BYTES:
        raise EventStreamError(f"a header name must have 1 to {NAME_LIMIT_BYTES} bytes")
    if len(value_bytes) > VALUE_LIMIT_BYTES:
        raise EventStreamError(f"header {name} is longer than {VALUE_LIMIT_BYTES} bytes")
    return (
        struct.pack("!B", len(name_bytes))
        + name_bytes
        + struct.pack("!BH", STRING_TYPE, len(value_bytes))
        + value_bytes
    )
