from datetime import UTC, datetime

import pytest

from hakoiri.host.conversations.turn_history import RESTARTED, read_history
from hakoiri.wire.events import (
    ContainerRecovered,
    ConversationEvent,
    EventData,
    Notice,
    TurnStarted,
    UserMessage,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HELLO = UserMessage(text="hello")
STARTED = TurnStarted(container="k-1", generation=4, start="cold")
LOST = ContainerRecovered(generation=5, reason="x", restored_seq=0)


def log(*data: EventData) -> list[ConversationEvent]:
    return [
        ConversationEvent.of(number=number, time=NOW, conversation_id="c", turn=1, data=item)
        for number, item in enumerate(data, start=1)
    ]


@pytest.mark.parametrize(
    ("data", "generation", "losses", "restarts"),
    [
        ([HELLO], None, 0, 0),
        ([HELLO, STARTED], 4, 0, 0),
        ([HELLO, STARTED, LOST], 5, 1, 0),
        ([Notice(code="workspace-restored", text="x"), HELLO, STARTED], 4, 0, 0),
        ([HELLO, RESTARTED, STARTED, Notice(code="other", text="x"), RESTARTED], 4, 0, 2),
    ],
)
def test_a_log_tells_how_far_its_turn_came(
    data: list[EventData], generation: int | None, losses: int, restarts: int
) -> None:
    history = read_history(log(*data), agent_seq=9)
    assert history is not None
    assert (history.generation, history.losses, history.restarts) == (generation, losses, restarts)
    assert (history.text, history.agent_seq) == ("hello", 9)


@pytest.mark.parametrize("data", [[], [STARTED]])
def test_a_turn_without_its_message_has_no_history(data: list[EventData]) -> None:
    assert read_history(log(*data), agent_seq=0) is None
