import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.adapters.event_stream_frames import Frame
from hakoiri.host.adapters.model_answer import ModelAnswer, event_of_frame
from hakoiri.host.conversations.ports import ChatModelError
from hakoiri.wire.events import Error, EventData, Result, TextDelta, ThinkingDelta, Usage


def delta(**fields: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": fields}


def answer_of(*events: dict[str, Any]) -> list[EventData]:
    answer = ModelAnswer()
    return [item for event in events for item in answer.take(json.dumps(event))]


def test_an_answer_is_its_deltas_and_a_result() -> None:
    assert answer_of(
        {"type": "message_start", "message": {"usage": {"input_tokens": 7, "output_tokens": 1}}},
        {"type": "ping"},
        {"type": "something_new", "delta": 3},
        delta(type="thinking_delta", thinking="hm"),
        delta(type="signature_delta", signature="x"),
        delta(type="text_delta", text="a"),
        delta(type="text_delta", text=""),
        delta(type="text_delta", text="b"),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 5},
        },
        {"type": "message_stop"},
    ) == [
        ThinkingDelta(text="hm"),
        TextDelta(text="a"),
        TextDelta(text="b"),
        Result(
            text="ab",
            stop_reason="end_turn",
            num_turns=1,
            usage=Usage(input_tokens=7, output_tokens=5),
        ),
    ]


def test_the_models_error_is_an_error_event() -> None:
    event = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert answer_of(event) == [
        Error(code="model-overloaded-error", text="Overloaded", retryable=True)
    ]


def test_an_endless_answer_is_cut_off() -> None:
    answer = ModelAnswer()
    half = json.dumps(delta(type="text_delta", text="x" * 500_000))
    answer.take(half)
    answer.take(half)
    with pytest.raises(ChatModelError, match="longer than"):
        answer.take(half)


def test_text_that_is_no_unicode_is_our_error() -> None:
    with pytest.raises(ChatModelError, match="not text"):
        answer_of(delta(type="text_delta", text="\ud800"))


@pytest.mark.parametrize("document", ["", "{", "[" * 100_000, b"\xff"])
def test_what_is_not_json_is_our_error(document: str | bytes) -> None:
    with pytest.raises(ChatModelError):
        ModelAnswer().take(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "delta", "usage", "message", "error", "text"]),
            inner,
            max_size=4,
        )
    ),
)
TYPES = st.sampled_from(
    ["message_start", "content_block_delta", "message_delta", "message_stop", "error"]
)


@given(TYPES, JSON)
def test_no_document_is_more_than_events_or_our_error(kind: str, body: Any) -> None:
    document = {"type": kind, "delta": body, "message": body, "usage": body, "error": body}
    ModelAnswer().take(json.dumps(document))


def test_a_frame_carries_an_event() -> None:
    payload = json.dumps({"bytes": base64.b64encode(b"{}").decode(), "p": "abc"}).encode()
    assert (
        event_of_frame(Frame({":message-type": "event", ":event-type": "chunk"}, payload)) == b"{}"
    )


@pytest.mark.parametrize(
    ("headers", "payload", "told"),
    [
        (
            {":message-type": "exception", ":exception-type": "throttlingException"},
            b'{"message": "slow down"}',
            "throttlingException: slow down",
        ),
        ({}, b"nonsense", "error: no reason given"),
        ({":message-type": "event"}, b'{"bytes": "%%%"}', "not base64"),
        ({":message-type": "event"}, b"nonsense", "not JSON"),
    ],
)
def test_a_frame_that_carries_none_is_our_error(
    headers: dict[str, str], payload: bytes, told: str
) -> None:
    with pytest.raises(ChatModelError, match=told):
        event_of_frame(Frame(headers, payload))
