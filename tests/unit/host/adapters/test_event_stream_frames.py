import binascii
import struct

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.adapters.event_stream_frames import Frame, FrameDecoder, FrameError


def encode(headers: dict[str, str], payload: bytes) -> bytes:
    packed = b"".join(
        struct.pack(">B", len(name))
        + name.encode()
        + b"\x07"
        + struct.pack(">H", len(value))
        + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    body = prelude + struct.pack(">I", binascii.crc32(prelude)) + packed + payload
    return body + struct.pack(">I", binascii.crc32(body))


HEADERS = st.dictionaries(st.from_regex(r"[:a-z-]{1,20}", fullmatch=True), st.just("event"))
FRAMES = st.lists(st.tuples(HEADERS, st.binary(max_size=50)), max_size=4)


@given(FRAMES, st.integers(1, 30))
def test_frames_come_out_as_they_went_in_however_they_are_cut(
    frames: list[tuple[dict[str, str], bytes]], step: int
) -> None:
    data = b"".join(encode(*frame) for frame in frames)
    decoder = FrameDecoder()
    found = [
        frame for at in range(0, len(data), step) for frame in decoder.feed(data[at : at + step])
    ]
    assert found == [Frame(*frame) for frame in frames]
    assert decoder.is_between_frames


@given(FRAMES)
def test_another_implementation_reads_the_same(
    frames: list[tuple[dict[str, str], bytes]],
) -> None:
    data = b"".join(encode(*frame) for frame in frames)
    oracle = EventStreamBuffer()
    oracle.add_data(data)
    assert [(f.headers, f.payload) for f in FrameDecoder().feed(data)] == [
        (message.headers, message.payload) for message in oracle
    ]


@given(st.integers(0, 200), st.integers(1, 255))
def test_one_changed_byte_is_noticed(at: int, change: int) -> None:
    data = bytearray(encode({":event-type": "chunk"}, b"{}" * 20) * 2)
    data[at % len(data)] ^= change
    decoder = FrameDecoder()
    with pytest.raises(FrameError):
        decoder.feed(bytes(data))


@given(st.binary(max_size=100))
def test_random_bytes_are_frames_or_our_error(data: bytes) -> None:
    try:
        FrameDecoder().feed(data)
    except FrameError:
        return


@given(st.binary(max_size=40))
def test_random_headers_are_headers_or_our_error(headers: bytes) -> None:
    prelude = struct.pack(">II", 16 + len(headers), len(headers))
    body = prelude + struct.pack(">I", binascii.crc32(prelude)) + headers
    try:
        FrameDecoder().feed(body + struct.pack(">I", binascii.crc32(body)))
    except FrameError:
        return


@pytest.mark.parametrize(
    ("total", "headers"), [(2**31, 0), (16, 200_000), (15, 0), (20, 10), (0, 0)]
)
def test_lengths_that_cannot_be_are_refused_at_once(total: int, headers: int) -> None:
    prelude = struct.pack(">II", total, headers)
    with pytest.raises(FrameError):
        FrameDecoder().feed(prelude + struct.pack(">I", binascii.crc32(prelude)))
