"""How many lines one of those who cannot be trusted may have: nobody fills the disk with them.

What is left out is counted, and told with the next line that is not. No I/O.
"""

import time
from collections.abc import Callable
from typing import Final

REFUSALS_BURST: Final = 1_000
REFUSALS_PER_S: Final = 1.0
"""Of one container, or of all who have no key: some 100 MB a day at most."""


class Allowance:
    """A bucket that is full at first, and fills again with time."""

    def __init__(
        self, *, burst: int, per_s: float, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst = burst
        self._per_s = per_s
        self._clock_s = clock_s
        self._left = float(burst)
        self._filled_at_s: float | None = None

    def take(self) -> bool:
        """Take one; whether there was one."""
        now_s = self._clock_s()
        if self._filled_at_s is not None:
            gained = (now_s - self._filled_at_s) * self._per_s
            self._left = min(self._burst, self._left + gained)
        self._filled_at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class RefusalLines:
    """The lines about refusals, of which nothing went anywhere; what did always has its line."""

    def __init__(self, allowance: Allowance | None = None) -> None:
        self._allowance = allowance or Allowance(burst=REFUSALS_BURST, per_s=REFUSALS_PER_S)
        self._left_out = 0

    def take(self) -> int | None:
        """Return how many were left out since the last line, or None to leave this one out too."""
        if not self._allowance.take():
            self._left_out += 1
            return None
        left_out, self._left_out = self._left_out, 0
        return left_out
