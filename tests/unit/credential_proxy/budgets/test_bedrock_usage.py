import itertools
import json
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from hakoiri.credential_proxy.budgets.bedrock_usage import FRAME_LIMIT_BYTES, FrameUsage
from hakoiri.credential_proxy.budgets.usage import Usage
from hakoiri.rehearsal.event_stream import chunk_frame, encode_frame, exception_frame

START = chunk_frame({"type": "message_start", "message": {"usage": {"input_tokens": 5,
                     "output_tokens": 1}}})  # fmt: skip
TEXT = chunk_frame({"type": "content_block_delta", "delta": {"text": 'my "usage", message_stop'}})
DELTA = chunk_frame({"type": "message_delta", "usage": {"output_tokens": 90}})
STOP = chunk_frame({"type": "message_stop"})
METRICS = chunk_frame(
    {
        "type": "message_stop",
        "amazon-bedrock-invocationMetrics": {
            "inputTokenCount": 5,
            "outputTokenCount": 91,
            "cacheReadInputTokenCount": 3,
        },
    }
)
METADATA = encode_frame(
    {":event-type": "metadata", ":content-type": "application/json", ":message-type": "event"},
    json.dumps({"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}}).encode(),
)


def read(*pieces: bytes) -> FrameUsage:
    reader = FrameUsage()
    for piece in pieces:
        reader.feed(piece)
    reader.finish()
    return reader


@given(st.lists(st.integers(0, 800), max_size=30), st.sampled_from([STOP, METRICS]))
def test_usage_is_read_however_the_frames_are_split(cuts: list[int], end: bytes) -> None:
    data = START + TEXT + DELTA + end
    at = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reader = read(*(data[start:stop] for start, stop in itertools.pairwise(at)))
    assert reader.usage == (Usage(5, 90) if end is STOP else Usage(5, 91, 0, 3))
    assert reader.is_final


@pytest.mark.parametrize("before", range(12))
def test_a_word_is_found_in_base64_wherever_it_stands(before: int) -> None:
    event: dict[str, JsonValue] = {
        "type": "message_delta",
        "x": "y" * before,
        "usage": {"output_tokens": 7},
    }
    assert read(chunk_frame(event)).usage == Usage(output_tokens=7)
    metrics: JsonValue = {"outputTokenCount": 8, "inputTokenCount": 1}
    event = {"x": "y" * before, "amazon-bedrock-invocationMetrics": metrics}
    assert read(chunk_frame(event)).is_final


def test_converse_tells_it_at_the_end() -> None:
    other = encode_frame({":event-type": "messageStop"}, b'{"stopReason": "end_turn"}')
    assert not read(other).is_final
    reader = read(other + METADATA)
    assert (reader.usage, reader.is_final) == (Usage(1, 2), True)


def test_an_answer_that_ends_in_an_exception_is_not_final() -> None:
    reader = read(START + exception_frame("throttlingException", 'no "usage" now'))
    assert (reader.usage, reader.is_final) == (Usage(5, 1), False)


def test_a_long_frame_is_passed_over_and_not_kept() -> None:
    reader = FrameUsage()
    long = encode_frame({":event-type": "chunk"}, b"x" * (3 * FRAME_LIMIT_BYTES))
    for at in range(0, len(long), 1000):
        reader.feed(long[at : at + 1000])
        assert len(reader._pending) <= FRAME_LIMIT_BYTES
    reader.feed(START + DELTA + STOP)
    assert reader.is_final


@pytest.mark.parametrize("total", [0, 11, 15])
def test_after_a_frame_that_is_not_sound_nothing_is_read(total: int) -> None:
    lengths = struct.pack(">II", total, 0)
    odd = lengths + struct.pack(">I", zlib.crc32(lengths))
    for bad in (odd, b"\0" * 12):
        reader = read(START, bad, DELTA, STOP)
        assert (reader.usage, reader.is_final) == (Usage(5, 1), False)
        assert not reader._pending


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_any_bytes_are_read_without_harm(pieces: list[bytes]) -> None:
    assert read(*pieces).usage.total == 0


@given(st.binary(max_size=60))
def test_any_payload_is_read_without_harm(payload: bytes) -> None:
    for text in (payload, b'{"bytes": "' + payload + b'"}', b'{"usage": ' + payload + b"}"):
        assert read(encode_frame({}, text)).usage.total >= 0
