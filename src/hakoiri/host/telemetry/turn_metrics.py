"""Figures of turns' times, read off the events that are recorded: no turn is asked for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from hakoiri.wire.events import ConversationEvent
from hakoiri.wire.terminal_types import TERMINAL_TYPES

OPEN_LIMIT: Final = 10_000
"""Turns that are followed at once; the oldest is forgotten beyond it."""

TURN_SECONDS: Final = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
FIRST_EVENT_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120)
AGENTS: Final = frozenset({"text_delta", "thinking_delta", "tool_use"})
"""What the agent says by itself: the first of these is what a user waits for."""

USERS: Final = frozenset(
    {"interrupted", "over-budget", "max-turns", "turn-timeout", "model-refused"}
    | {"request-refused", "policy-missing", "policy-refused", "workspace-too-large"}
    | {"runtime-not-allowed"}
)
"""Codes of errors that a user chose or can mend; every other is the service's own."""


@dataclass(slots=True)
class _Turn:
    number: int
    began: datetime
    has_spoken: bool = False


class TurnMetrics:
    """Counts into the registry it is given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._open: dict[str, _Turn] = {}
        seconds = Histogram(
            "hakoiri_turn_seconds",
            "From a message to the last event of its turn, by that event.",
            ["result"],
            buckets=TURN_SECONDS,
            registry=registry,
        )
        self._seconds = {result: seconds.labels(result) for result in sorted(TERMINAL_TYPES)}
        ends = Counter(
            "hakoiri_turn_ends",
            "Turns that have ended, by whose doing an error was, if any.",
            ["fault"],
            registry=registry,
        )
        self._ends = {fault: ends.labels(fault) for fault in ("none", "user", "service")}
        self._first = Histogram(
            "hakoiri_turn_first_event_seconds",
            "From a message to the first thing that the agent says or does.",
            buckets=FIRST_EVENT_SECONDS,
            registry=registry,
        )

    def recorded(self, events: Sequence[ConversationEvent]) -> None:
        """Take note of events that were committed."""
        for event in events:
            if event.type == "user_message":
                self._begin(event)
            elif turn := self._turn_of(event):
                self._see(turn, event)

    def _begin(self, event: ConversationEvent) -> None:
        self._open.pop(event.conversation_id, None)
        self._open[event.conversation_id] = _Turn(event.turn, event.time)
        if len(self._open) > OPEN_LIMIT:
            del self._open[next(iter(self._open))]

    def _turn_of(self, event: ConversationEvent) -> _Turn | None:
        turn = self._open.get(event.conversation_id)
        return turn if turn is not None and turn.number == event.turn else None

    def _see(self, turn: _Turn, event: ConversationEvent) -> None:
        seconds = max(0.0, (event.time - turn.began).total_seconds())
        if event.type in AGENTS and not turn.has_spoken:
            turn.has_spoken = True
            self._first.observe(seconds)
        if event.type in TERMINAL_TYPES:
            self._seconds[event.type].observe(seconds)
            self._ends[_fault_of(event)].inc()
            del self._open[event.conversation_id]


def _fault_of(event: ConversationEvent) -> str:
    if event.type != "error":
        return "none"
    code = event.data.get("code")
    return "user" if isinstance(code, str) and code in USERS else "service"
