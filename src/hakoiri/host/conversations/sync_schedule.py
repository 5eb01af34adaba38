"""When the files of a running turn are saved: a decision over times that are handed in. Pure.

A tool that can write may have changed files from its call on. Its result makes a save due after a
pause in which no other comes; a tool that works on, or results that never pause, make it due when
the oldest change has waited long enough.
"""

from collections.abc import Iterable
from typing import Final

from hakoiri.wire.events import EventData, ToolResult, ToolUse

READ_ONLY_TOOLS: Final = frozenset(
    ("Glob", "Grep", "LS", "NotebookRead", "Read", "WebFetch", "WebSearch")
)
"""Tools of Claude Code that change no file. Any other, known or not, is taken to write."""

_OPEN_CALLS: Final = 1000
"""Calls without a result that are kept apart; the container could open any number."""


class SyncSchedule:
    """One turn's schedule. Times are seconds on one clock; `quiet_s` <= `longest_wait_s`.

    A save covers what happened before it began. At most one is under way.
    """

    def __init__(self, *, quiet_s: float, longest_wait_s: float) -> None:
        self._quiet_s = quiet_s
        self._longest_wait_s = longest_wait_s
        self._writing: set[str] = set()
        self._reading: set[str] = set()
        self._oldest_change: float | None = None
        self._last_result: float | None = None
        self._not_before = 0.0
        self._saving: tuple[float, float] | None = None
        self.is_failing = False
        """Whether the last save failed."""

    def saw(self, events: Iterable[EventData], *, now: float) -> None:
        """Take note of recorded events."""
        for event in events:
            if isinstance(event, ToolUse):
                self._called(event, now)
            elif isinstance(event, ToolResult):
                self._answered(event.tool_use_id, now)

    def due_at(self) -> float | None:
        """When the next save is to begin; None while one runs or nothing can have changed."""
        if self._saving is not None or self._oldest_change is None:
            return None
        due = self._oldest_change + self._longest_wait_s
        if self._last_result is not None:
            due = min(due, self._last_result + self._quiet_s)
        return max(due, self._not_before)

    def begin(self, *, now: float) -> None:
        """A save begins: whatever may be written from now on is the next one's."""
        oldest = now if self._oldest_change is None else self._oldest_change
        self._saving = (oldest, now)
        self._oldest_change = now if self._writing else None
        self._last_result = None

    def succeed(self) -> None:
        """The save is committed."""
        self._saving = None
        self.is_failing = False

    def fail(self, *, now: float) -> None:
        """The save failed: what it should have covered is still to be saved, after a pause."""
        if self._saving is not None:
            self._oldest_change = self._saving[0]
        self._saving = None
        self._not_before = now + self._quiet_s
        self.is_failing = True

    def _called(self, event: ToolUse, now: float) -> None:
        calls = self._reading if event.name in READ_ONLY_TOOLS else self._writing
        if len(calls) < _OPEN_CALLS:
            calls.add(event.tool_use_id)
        if calls is self._writing and self._oldest_change is None:
            self._oldest_change = now

    def _answered(self, tool_use_id: str, now: float) -> None:
        if tool_use_id in self._reading:
            self._reading.discard(tool_use_id)
            return
        self._writing.discard(tool_use_id)
        self._last_result = now
        if self._oldest_change is None:
            self._oldest_change = now
