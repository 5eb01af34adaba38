"""What a benchmark gives back: samples by name, and how they are shown."""

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.proxy_bars import Line


@dataclass(slots=True)
class Report:
    """One benchmark's samples in milliseconds, by what was measured, in the order first seen."""

    title: str
    baseline: str | None = None
    """The measure that the others' medians are divided by."""

    samples_ms: dict[str, list[float]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    """What of it has a bar."""

    def add(self, name: str, time_ms: float) -> None:
        """Keep one sample."""
        self.samples_ms.setdefault(name, []).append(time_ms)

    def ratio(self, name: str) -> float | None:
        """Return a measure's median over the baseline's."""
        base = self.samples_ms.get(self.baseline or "")
        return statistics.median(self.samples_ms[name]) / statistics.median(base) if base else None

    def table(self) -> Table:
        """Return the report for a person."""
        table = Table(title=self.title, caption=self._caption(), title_justify="left")
        table.add_column("measure", no_wrap=True)
        columns = ["n", "p50 ms", "p95 ms", "p99 ms"]
        for name in [*columns, "ratio"] if self.baseline else columns:
            table.add_column(name, justify="right")
        for name, samples in self.samples_ms.items():
            at = (statistics.median(samples), percentile(samples, 95), percentile(samples, 99))
            row = [name, str(len(samples)), *map(_ms, at)]
            ratio = self.ratio(name)
            table.add_row(*row, *([f"{ratio:.2f}"] if ratio is not None else []))
        return table

    def as_json(self) -> dict[str, Any]:
        """Return the report for a program, every sample included."""
        return {
            "title": self.title,
            "baseline": self.baseline,
            "notes": self.notes,
            "bars": [asdict(line) for line in self.lines],
            "measures": {
                name: {
                    "n": len(samples),
                    "p50_ms": round(statistics.median(samples), 3),
                    "p95_ms": round(percentile(samples, 95), 3),
                    "p99_ms": round(percentile(samples, 99), 3),
                    "ratio_p50": self.ratio(name),
                    "samples_ms": [round(sample, 3) for sample in samples],
                }
                for name, samples in self.samples_ms.items()
            },
        }

    def _caption(self) -> str:
        said = [f"ratio: p50 over that of {self.baseline!r}"] if self.baseline else []
        return "; ".join([*said, *(f"{name} {value}" for name, value in self.notes.items())])


Part = Callable[[Report], None]
"""Adds one sample of something, or a few that belong together."""


def in_turns(
    parts: Sequence[Part], samples: int, report: Report, *, say: Callable[[str], None]
) -> None:
    """Have each part in each round, in an order that rotates.

    The first round warms caches and is not counted.
    """
    for number in range(-1, samples):
        say(f"round {number + 1} of {samples}")
        first = number % len(parts)
        for part in (*parts[first:], *parts[:first]):
            part(Report("warm-up") if number < 0 else report)


def percentile(samples: list[float], part: int) -> float:
    """Return the percentile of this number, 1 to 99; of a single sample, the sample."""
    if len(samples) == 1:
        return samples[0]
    return statistics.quantiles(samples, n=100, method="inclusive")[part - 1]


def machine() -> dict[str, str]:
    """Say where and when it was measured."""
    memory_kib = Path("/proc/meminfo").read_text(encoding="ascii").split(maxsplit=2)[1]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": str(os.cpu_count()),
        "memory": f"{int(memory_kib) / 1024**2:.0f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.2f}",
    }


def _ms(time_ms: float) -> str:
    return f"{time_ms:.2f}" if time_ms < 10 else f"{time_ms:.0f}"
