"""Opens what sends spans away, and closes it within a bound."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from hakoiri.tracing.launch import TracingLaunch
from hakoiri.tracing.spans import Tracer
from hakoiri.tracing.tally import TellState, TraceTally

CLOSE_TIMEOUT_S: Final = 3.0
"""What waits when a process ends is sent within this, or is lost."""


@dataclass(frozen=True, slots=True)
class Tracing:
    """An open way out for spans, and what became of those that took it."""

    tracer: Tracer
    tally: TraceTally


@asynccontextmanager
async def open_tracing(
    launch: TracingLaunch | None,
    *,
    service: str,
    version: str,
    tell_state: TellState,
    close_timeout_s: float = CLOSE_TIMEOUT_S,
) -> AsyncIterator[Tracing | None]:
    """Yield the way out; None, and nothing is loaded, where no spans are wanted.

    Leaving sends what waits, at most for `close_timeout_s`.
    """
    if launch is None:
        yield None
        return
    # Slow to load: by who wants it alone.
    from hakoiri.tracing.otlp import OtlpTracer  # noqa: PLC0415

    tally = TraceTally(queue_limit=launch.queue_limit)
    tracer = OtlpTracer(
        launch, service=service, version=version, tally=tally, tell_state=tell_state
    )
    try:
        yield Tracing(tracer, tally)
    finally:
        # A thread that nobody has to wait for: a receiver that hangs must not hold up the end.
        closing = threading.Thread(target=tracer.close, name="close tracing", daemon=True)
        closing.start()
        await asyncio.shield(asyncio.to_thread(closing.join, close_timeout_s))


def load_exporter() -> None:
    """Load now what `open_tracing` would load, for who waits to be needed."""
    import hakoiri.tracing.otlp  # noqa: F401, PLC0415
