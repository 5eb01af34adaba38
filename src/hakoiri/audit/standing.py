"""Whether a chain's writer is known to be well, purely: what is asked before something begins.

A flag in memory and one comparison: no request waits for the disk to learn this. Known to be well
means that the last batch was synced, that no line is older than `BEHIND_LIMIT_S` and not synced,
and that there is room in memory for the ends of what is under way. Times are monotonic seconds.
"""

from typing import Final

BEHIND_LIMIT_S: Final = 10.0
"""A disk that hangs says nothing. Longer than a busy one takes for a batch."""

ROOM_SHARE: Final = 0.5
"""The part of what may wait in memory that is kept for the ends of what has begun."""


class Standing:
    """What one writer's thread tells of its disk, and what that means."""

    def __init__(self, place: str, *, waiting_limit: int, goes_on: bool) -> None:
        """`place` is named in failures; who `goes_on` begins things that cannot be recorded."""
        self._place = place
        self._waiting_limit = waiting_limit
        self._goes_on = goes_on
        self._refused: str | None = None

    def refused(self, error: OSError) -> None:
        """Take note that a batch could not be written."""
        self._refused = f"the audit log {self._place} cannot be written: {error}"

    def written(self) -> None:
        """Take note that a batch was synced."""
        self._refused = None

    def failure(self, *, waiting: int, oldest_s: float | None, now_s: float) -> str | None:
        """Say why lines cannot be kept now; None if they can.

        `waiting` lines are not synced, the oldest of which was told at `oldest_s`.
        """
        if self._refused is not None:
            return self._refused
        if oldest_s is not None and now_s - oldest_s > BEHIND_LIMIT_S:
            return f"the audit log {self._place} was not written for {now_s - oldest_s:.0f} s"
        if waiting > self._waiting_limit * ROOM_SHARE:
            return f"the audit log {self._place} is not written as fast as it grows"
        return None

    def hindrance(self, failure: str | None) -> str | None:
        """Say why nothing may begin that has to be recorded; None if it may."""
        return None if self._goes_on else failure
