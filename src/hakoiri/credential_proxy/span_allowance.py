"""How many spans one container may have: one that asks much must not push out the others'. No I/O.

A model call takes a good part of a second, and installing packages asks for some dozens of files at
once; who asks for more than that is counted, not told one by one.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hakoiri.audit.allowance import Allowance
from hakoiri.tracing.trace_context import TraceContext

BURST: Final = 200
PER_S: Final = 10.0


class SpanAllowance(Allowance):
    """The spans that a container may still have."""

    def __init__(
        self,
        *,
        burst: int = BURST,
        per_s: float = PER_S,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(burst=burst, per_s=per_s, clock_s=clock_s)


@dataclass(frozen=True, slots=True)
class TracedFor:
    """The span below which a container's requests belong, and how many more it may have."""

    parent: TraceContext
    allowance: SpanAllowance
