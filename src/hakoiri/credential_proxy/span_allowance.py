"""How many spans one container may have: one that asks much must not push out the others'. No I/O.

A model call takes a good part of a second, and installing packages asks for some dozens of files at
once; who asks for more than that is counted, not told one by one.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hakoiri.tracing.trace_context import TraceContext

BURST: Final = 200
PER_S: Final = 10.0


class SpanAllowance:
    """A bucket that is full at first, and fills again with time."""

    def __init__(
        self,
        *,
        burst: int = BURST,
        per_s: float = PER_S,
        clock_s: Callable[[], float] = time.monotonic,
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


@dataclass(frozen=True, slots=True)
class TracedFor:
    """The span below which a container's requests belong, and how many more it may have."""

    parent: TraceContext
    allowance: SpanAllowance
