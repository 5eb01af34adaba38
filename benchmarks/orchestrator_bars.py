"""What starts, claims, messages and commands must reach, and who else does it how fast. Pure."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.proxy_bars import Line
from benchmarks.report import Report, percentile

DOCKER_RUN: Final = "docker run, to first output"
COLD: Final = "step: total"
IN_REFILL: Final = "refill below the minimum: claim"
IDLE_NOTE: Final = "server's share of a core, {} idle"
MEMORY_NOTE: Final = "MiB of a warm container, process {}"
IDLE_COUNT: Final = 60

COLD_TIMES: Final = 3.0
CREATED: Final = (
    "aiodocker: create",
    "llm-sandbox: create",
    "swe-rex: create",
)
COMMANDS: Final = (
    "docker exec",
    "aiodocker: command",
    "llm-sandbox: command",
    "swe-rex: command",
)


@dataclass(frozen=True, slots=True)
class Bar:
    """A row: `measure` takes at most so many milliseconds; `peers` are measures to show beside."""

    work: str
    measure: str
    p50_ms: float | None = None
    p99_ms: float | None = None
    peers: tuple[str, ...] = ()


BARS: Final = (
    Bar("cold: message to first model request", "cold: message to first model request", 2500),
    Bar("warm claim, process ahead", "ahead: claim", 10, 50),
    Bar("warm claim, without", "without: claim", 10, 50),
    Bar("warm claim while the pool refills below its minimum", IN_REFILL, 10, 50),
    Bar("first message, process ahead", "ahead: first message to first model request", 200),
    Bar("later message", "ahead: later message to first model request", 100),
    Bar("message to a frozen workspace", "frozen: message to first model request", 150),
    Bar("exec by the API", "POST …/exec, connection kept", 10, peers=COMMANDS),
    Bar("exec by the command line", "hakoiri workspace exec", 10, peers=COMMANDS),
    Bar("workspace from a warm pool, to first output", "ours, warm: create", peers=CREATED),
    Bar("workspace without a pool, to first output", "ours, cold: create", peers=CREATED),
)
"""All but what is compared with another measure, or is no time. Those without a bar are shown."""

NUMBERS: Final = {
    MEMORY_NOTE.format("without"): ("memory of a warm container, without the process", 60, "MiB"),
    IDLE_NOTE.format(IDLE_COUNT): (f"server with {IDLE_COUNT} idle warm containers", 2, "%"),
}
"""Notes that have a limit: what they are, how much, of what."""


def lines_of(report: Report) -> list[Line]:
    """Return a line for each row of which the report has samples."""
    return [
        *_cold(report),
        *(_line(report, bar) for bar in BARS if _has(report, bar)),
        *_notes(report),
    ]


def _cold(report: Report) -> Iterator[Line]:
    if COLD not in report.samples_ms or DOCKER_RUN not in report.samples_ms:
        return
    ratio = _p50(report, COLD) / _p50(report, DOCKER_RUN)
    yield Line(
        "cold: create to healthy agent",
        f"p50 <= {COLD_TIMES:g} x docker run",
        _told(report.samples_ms[COLD]),
        _peers(report, (DOCKER_RUN, *CREATED)),
        ratio,
        ratio <= COLD_TIMES,
    )


def _has(report: Report, bar: Bar) -> bool:
    return bar.measure in report.samples_ms


def _line(report: Report, bar: Bar) -> Line:
    samples = report.samples_ms[bar.measure]
    bars = {"p50": (bar.p50_ms, 50), "p99": (bar.p99_ms, 99)}
    wanted = {
        name: (at_most, part) for name, (at_most, part) in bars.items() if at_most is not None
    }
    is_met = all(percentile(samples, part) <= at_most for at_most, part in wanted.values())
    theirs = [_p50(report, name) for name in bar.peers if name in report.samples_ms]
    return Line(
        bar.work,
        ", ".join(f"{name} <= {at_most:g} ms" for name, (at_most, _) in wanted.items()),
        _told(samples),
        _peers(report, bar.peers),
        _p50(report, bar.measure) / min(theirs) if theirs else None,
        is_met if wanted else None,
    )


def _notes(report: Report) -> Iterator[Line]:
    for note, (work, limit, unit) in NUMBERS.items():
        if note in report.notes:
            value = float(report.notes[note].rstrip("%"))
            yield Line(work, f"<= {limit:g} {unit}", f"{value:g} {unit}", "", None, value <= limit)


def _told(samples: Sequence[float]) -> str:
    at = [statistics.median(samples), percentile([*samples], 95), percentile([*samples], 99)]
    return f"p50/95/99 {'/'.join(f'{one:.1f}' for one in at)} ms, n={len(samples)}"


def _peers(report: Report, names: Sequence[str]) -> str:
    return "; ".join(
        f"{name.removesuffix(': create').removesuffix(': command')} {_p50(report, name):.0f} ms"
        for name in names
        if name in report.samples_ms
    )


def _p50(report: Report, name: str) -> float:
    return statistics.median(report.samples_ms[name])
