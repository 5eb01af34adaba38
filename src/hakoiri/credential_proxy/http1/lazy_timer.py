"""A timer that is set anew with each request and almost never fires."""

import asyncio
from collections.abc import Callable


class LazyTimer:
    """Calls `action` once when it is due; setting it anew costs an assignment.

    The loop's own timer is left where it is while it would fire early, and moved when it has: so a
    busy connection has one timer in the loop, not one for each message.
    """

    __slots__ = ("_action", "_due_s", "_handle", "_handle_due_s", "_loop")

    def __init__(self, *, loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> None:
        self._loop = loop
        self._action = action
        self._due_s: float | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._handle_due_s = 0.0

    def set(self, after_s: float) -> None:
        """Be due `after_s` seconds from now, and at no other time."""
        due_s = self._due_s = self._loop.time() + after_s
        if self._handle is None or self._handle_due_s > due_s:
            self._schedule(due_s)

    def clear(self) -> None:
        """Be due no more."""
        self._due_s = None

    def close(self) -> None:
        """Be due no more, and leave nothing in the loop."""
        self._due_s = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _schedule(self, due_s: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop.call_at(due_s, self._fire)
        self._handle_due_s = due_s

    def _fire(self) -> None:
        self._handle = None
        due_s = self._due_s
        if due_s is None:
            return
        if due_s > self._loop.time():
            self._schedule(due_s)
            return
        self._due_s = None
        self._action()
