from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from pydantic import JsonValue

from hakoiri.host.telemetry import turn_metrics
from hakoiri.host.telemetry.turn_metrics import TurnMetrics
from hakoiri.wire.events import ConversationEvent

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def event(
    kind: str,
    at_s: float,
    *,
    turn: int = 1,
    conversation: str = "c-1",
    code: JsonValue = None,
) -> ConversationEvent:
    return ConversationEvent(
        id=1,
        type=kind,
        time=NOON + timedelta(seconds=at_s),
        conversation_id=conversation,
        turn=turn,
        data={} if code is None else {"code": code},
    )


def page(*events: ConversationEvent) -> str:
    registry = CollectorRegistry()
    metrics = TurnMetrics(registry)
    for one in events:
        metrics.recorded([one])
    return generate_latest(registry).decode()


def test_a_turn_is_timed_to_its_first_word_and_its_end() -> None:
    told = page(
        event("user_message", 0),
        event("turn_started", 1),
        event("tool_use", 2),
        event("text_delta", 3),
        event("result", 5),
    )
    assert "hakoiri_turn_first_event_seconds_sum 2.0" in told
    assert "hakoiri_turn_first_event_seconds_count 1.0" in told
    assert 'hakoiri_turn_seconds_sum{result="result"} 5.0' in told
    assert 'hakoiri_turn_seconds_count{result="error"} 0.0' in told


def test_what_belongs_to_no_turn_that_was_seen_to_begin_is_not_timed() -> None:
    told = page(
        event("result", 5),
        event("user_message", 6, turn=2),
        event("error", 7, turn=1),
    )
    assert 'hakoiri_turn_seconds_count{result="result"} 0.0' in told
    assert 'hakoiri_turn_seconds_count{result="error"} 0.0' in told


def test_only_so_many_are_followed() -> None:
    metrics = TurnMetrics(CollectorRegistry())
    for number in range(turn_metrics.OPEN_LIMIT + 5):
        metrics.recorded([event("user_message", 0, conversation=f"c-{number}")])
    assert len(metrics._open) == turn_metrics.OPEN_LIMIT


@pytest.mark.parametrize(
    ("kind", "code", "fault"),
    [
        ("result", None, "none"),
        ("error", "interrupted", "user"),
        ("error", "over-budget", "user"),
        ("error", "container-start-failed", "service"),
        ("error", ["what a container says"], "service"),
    ],
)
def test_whose_doing_an_error_was(kind: str, code: JsonValue, fault: str) -> None:
    told = page(event("user_message", 0), event(kind, 1, code=code))
    assert f'hakoiri_turn_ends_total{{fault="{fault}"}} 1.0' in told
    assert told.count("_total{fault=") == 3
    assert sum(f'fault="{one}"}} 1.0' in told for one in ("none", "user", "service")) == 1
