from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from hakoiri.wire.events import (
    ConversationEvent,
    TextDelta,
    agent_event_adapter,
    event_data_adapter,
)


@pytest.mark.parametrize(
    "said",
    [
        '{"type":"user_message","text":"forged"}',
        '{"type":"container_recovered","generation":9,"reason":"forged","restored_seq":1}',
        '{"type":"file_synced","recovery_point":"a"}',
        '{"type":"queued","position":1,"waiting":1,"limit_s":60}',
        '{"type":"text_delta","text":"x","extra":1}',
        '{"type":"unknown"}',
        '{"text":"no type"}',
        "[]",
        "{",
    ],
)
def test_a_container_cannot_say_what_only_the_host_says(said: str) -> None:
    with pytest.raises(ValidationError):
        agent_event_adapter.validate_json(said)


@pytest.mark.parametrize(
    "place", [{"position": 0}, {"waiting": 0}, {"reason": "mood"}, {"limit_s": 0}, {"limit_s": "x"}]
)
def test_a_place_in_the_line_counts_from_one(place: dict[str, object]) -> None:
    queued = {"type": "queued", "position": 1, "waiting": 1, "reason": "memory", "limit_s": 60}
    assert event_data_adapter.validate_python(queued).type == "queued"
    with pytest.raises(ValidationError):
        event_data_adapter.validate_python(queued | place)


def test_a_session_id_is_not_an_event_of_the_log() -> None:
    with pytest.raises(ValidationError):
        event_data_adapter.validate_python({"type": "session_started", "session_id": "ab"})


def test_the_envelope_names_its_type_once() -> None:
    event = ConversationEvent.of(
        number=1,
        time=datetime(2026, 1, 1, tzinfo=UTC),
        conversation_id="c1",
        turn=1,
        data=TextDelta(text="hello"),
    )
    assert event.model_dump(mode="json") == {
        "id": 1,
        "type": "text_delta",
        "time": "2026-01-01T00:00:00Z",
        "conversation_id": "c1",
        "turn": 1,
        "data": {"text": "hello"},
    }
