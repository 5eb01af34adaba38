"""One call of the guard's: timed with and without it, and what is said of the difference."""

import asyncio
import math
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiodocker

from benchmarks.proxy_bars import Line
from benchmarks.report import Report
from hakoiri.host.containers.ports import EngineError

RETRY_S: Final = 0.05

BAR_MS: Final = 2.0

ADDED: Final = ": added"

SIGMAS: Final = 1.96
"""Of a normal distribution, within which 95 % lie."""

FEWEST: Final = 6
"""Of fewer not even the outermost two have the median between them with a chance of 95 %."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call, as the engine takes it (if it has such a call), and as the guard does."""

    name: str
    bare: Callable[[], Awaitable[Any]] | None
    guarded: Callable[[], Awaitable[Any]]
    tries: int = 1
    rest_s: float = 0.0
    """Waited before it."""

    ready: Callable[[], Awaitable[Any]] | None = None
    """Waited for before it, so that both ways find the same."""


async def add(
    report: Report,
    steps: Sequence[Step],
    *,
    number: int,
    processor_ms: Callable[[], float] | None = None,
) -> None:
    """Time the steps both ways, one way after the other; what the guard added is the difference.

    A step that the engine has no call for is told by what it takes.
    """
    took_ms: dict[tuple[str, str], float] = {}
    for way in ("bare", "guarded") if number % 2 else ("guarded", "bare"):
        for step in steps:
            call = step.bare if way == "bare" else step.guarded
            if call is not None:
                await asyncio.sleep(step.rest_s)
                if step.ready is not None:
                    await step.ready()
                before_ms = processor_ms() if processor_ms is not None else 0.0
                took_ms[step.name, way] = await _timed(call, tries=step.tries)
                if processor_ms is not None and way == "guarded":
                    report.add(f"{step.name}: its processor time", processor_ms() - before_ms)
    for step in steps:
        if step.bare is None:
            report.add(step.name, took_ms[step.name, "guarded"])
            continue
        bare_ms, guarded_ms = took_ms[step.name, "bare"], took_ms[step.name, "guarded"]
        report.add(f"{step.name}: bare", bare_ms)
        report.add(f"{step.name}: guarded", guarded_ms)
        report.add(f"{step.name}{ADDED}", guarded_ms - bare_ms)


async def _timed(call: Callable[[], Awaitable[Any]], *, tries: int) -> float:
    """Time the call that goes well."""
    while True:
        started_s = time.perf_counter()
        try:
            await call()
        except (EngineError, aiodocker.DockerError):
            tries -= 1
            if tries == 0:
                raise
            await asyncio.sleep(RETRY_S)
        else:
            return (time.perf_counter() - started_s) * 1000


def lines_of(samples_ms: Mapping[str, Sequence[float]]) -> list[Line]:
    """Return a line for each call: what was added by half of them, and how sure that is.

    Where the bar lies within what the samples leave open, nothing is said of it: the engine's own
    time for such a call differs by more from one to the next than the guard may add.
    """
    return [
        _line(name.removesuffix(ADDED), samples)
        for name, samples in samples_ms.items()
        if name.endswith(ADDED)
    ]


def _line(name: str, samples: Sequence[float]) -> Line:
    middle = statistics.median(samples)
    low, high = _around_the_median(samples)
    is_open = len(samples) < FEWEST or low <= BAR_MS < high
    is_met = None if is_open else high <= BAR_MS
    why = "too uneven to tell" if is_met is None else ""
    ours = f"{middle:+.2f} ({low:+.2f} to {high:+.2f})"
    return Line(name, f"p50 <= {BAR_MS:g} ms", ours, why, None, is_met)


def _around_the_median(samples: Sequence[float]) -> tuple[float, float]:
    """Return between which samples the true median is, with a chance of 95 % (by their ranks)."""
    count = len(samples)
    away = math.ceil(SIGMAS * math.sqrt(count) / 2)
    ordered = sorted(samples)
    return ordered[max(0, count // 2 - away)], ordered[min(count - 1, (count - 1) // 2 + away)]
