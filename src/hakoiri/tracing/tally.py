"""What became of spans. Written by the exporter's thread and by those that end spans."""

import threading
from collections.abc import Callable
from typing import Final, Literal

Outcome = Literal["exported", "failed", "dropped", "held_back"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("exported", "failed", "dropped", "held_back")
"""Taken by the receiver; lost, for it did not take them; lost, for the queue was full; never made,
for one container would have had too many."""

TellState = Callable[[bool], None]
"""Called in the exporter's thread with whether spans are taken, when that has changed."""


class TraceTally:
    """Counts spans, keeps the queue within its bound, and knows whether the receiver is away."""

    def __init__(self, *, queue_limit: int) -> None:
        self._queue_limit = queue_limit
        self._lock = threading.Lock()
        self._counts: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
        self._waiting = 0
        self._is_failing = False

    def counts(self) -> dict[Outcome, int]:
        """Return how many spans had each outcome."""
        with self._lock:
            return dict(self._counts)

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt to send failed."""
        return self._is_failing

    @property
    def waiting(self) -> int:
        """How many spans wait, those that are being sent among them."""
        return self._waiting

    def admit(self) -> bool:
        """Take a place in the queue for a span; False, and counted, if there is none."""
        with self._lock:
            if self._waiting >= self._queue_limit:
                self._counts["dropped"] += 1
                return False
            self._waiting += 1
            return True

    def hold_back(self) -> None:
        """Count a span that was not made."""
        with self._lock:
            self._counts["held_back"] += 1

    def sent(self, spans: int, *, is_taken: bool) -> bool:
        """Count spans that were sent; whether the receiver came or went with this."""
        with self._lock:
            self._waiting -= spans
            self._counts["exported" if is_taken else "failed"] += spans
            has_changed = self._is_failing is is_taken
            self._is_failing = not is_taken
            return has_changed
