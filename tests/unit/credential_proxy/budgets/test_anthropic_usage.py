import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.budgets.anthropic_usage import (
    LINE_LIMIT_BYTES,
    AnthropicEvents,
    SseUsage,
)
from hakoiri.credential_proxy.budgets.usage import Usage

EVENTS: list[dict[str, object]] = [
    {
        "type": "message_start",
        "message": {
            "model": "m",
            "usage": {
                "input_tokens": 5,
                "output_tokens": 1,
                "cache_creation_input_tokens": 6,
                "cache_read_input_tokens": 7,
            },
        },
    },
    {"type": "content_block_delta", "delta": {"text": 'a "usage" and a message_stop\n\n'}},
    {"type": "ping"},
    {"type": "message_delta", "usage": {"output_tokens": 40}},
    {"type": "message_delta", "usage": {"output_tokens": 90, "input_tokens": 5}},
    {"type": "message_stop"},
]


def sse(*events: dict[str, object], line: str = "\n") -> bytes:
    return "".join(
        f"event: {event['type']}{line}data: {json.dumps(event)}{line}{line}" for event in events
    ).encode()


def read(*pieces: bytes) -> SseUsage:
    reader = SseUsage()
    for piece in pieces:
        reader.feed(piece)
    reader.finish()
    return reader


@given(st.lists(st.integers(0, len(sse(*EVENTS))), max_size=30), st.sampled_from(["\n", "\r\n"]))
def test_usage_is_read_however_the_stream_is_split(cuts: list[int], line: str) -> None:
    data = sse(*EVENTS, line=line)
    at = [0, *sorted(cuts), len(data)]
    reader = read(*(data[start:end] for start, end in itertools.pairwise(at)))
    assert reader.usage == Usage(5, 90, 6, 7)
    assert reader.is_final
    assert reader.model == "m"


@pytest.mark.parametrize("seen", range(len(EVENTS)))
def test_before_the_end_nothing_is_final(seen: int) -> None:
    reader = read(sse(*EVENTS[:seen]))
    assert not reader.is_final
    assert reader.usage.output_tokens == [0, 1, 1, 1, 40, 90][seen]


def test_an_end_without_usage_is_none() -> None:
    assert not read(sse({"type": "message_stop"})).is_final


def test_a_last_line_without_its_break_is_read() -> None:
    assert read(sse(*EVENTS).rstrip()).is_final


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_any_bytes_are_read_without_harm(pieces: list[bytes]) -> None:
    assert read(*pieces).usage.total >= 0


def test_an_endless_line_takes_no_memory_and_hides_nothing_after_it() -> None:
    reader = SseUsage()
    for _ in range(100):
        reader.feed(b'data: {"usage": "' + b"x" * LINE_LIMIT_BYTES)
        assert len(reader._line) <= LINE_LIMIT_BYTES
    reader.feed(b"\n" + sse(*EVENTS))
    assert reader.usage == Usage(5, 90, 6, 7)


def test_the_metrics_of_bedrock_are_the_last_word() -> None:
    events = AnthropicEvents()
    events.take(
        {
            "type": "message_stop",
            "amazon-bedrock-invocationMetrics": {"inputTokenCount": 5, "outputTokenCount": 9},
        }
    )
    assert events.usage == Usage(5, 9)
    assert events.is_final


@pytest.mark.parametrize("message", [None, [], {"usage": []}, {"model": 5}])
def test_an_event_of_an_odd_shape_tells_nothing(message: object) -> None:
    events = AnthropicEvents()
    events.take({"type": "message_start", "message": message})
    assert (events.usage, events.model) == (Usage(), None)
