from datetime import UTC, datetime

import pytest

from hakoiri.host.conversations.turn_history import RESTARTED, TAKEN_OVER, read_history
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


@pytest.mark.parametrize(
    ("data", "was_given_up"),
    [
        ([HELLO, STARTED], False),
        ([HELLO, STARTED, TAKEN_OVER], True),
        ([HELLO, STARTED, TAKEN_OVER, RESTARTED], True),
        ([HELLO, STARTED, TAKEN_OVER, RESTARTED, LOST], False),
        ([TAKEN_OVER, HELLO, STARTED], False),
    ],
)
def test_a_log_tells_whether_the_last_container_was_left_on_a_host_that_is_gone(
    data: list[EventData],
    was_given_up: bool,  # noqa: FBT001 - parametrized
) -> None:
    history = read_history(log(*data), agent_seq=0)
    assert history is not None
    assert history.was_given_up is was_given_up


@pytest.mark.parametrize("data", [[], [STARTED]])
def test_a_turn_without_its_message_has_no_history(data: list[EventData]) -> None:
    assert read_history(log(*data), agent_seq=0) is None
