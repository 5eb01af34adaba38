"""Figures of what the server depends on, and of the host's own pressure. Labels are closed sets.

Source of the pressure figures: the kernel's `accounting/psi.rst`.
"""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Part = Literal["engine", "proxy", "database", "objects", "audit"]
"""What a turn needs besides the server itself."""

PROC: Final = Path("/proc")
RESOURCES: Final = ("cpu", "memory", "io")
READ_LIMIT_BYTES: Final = 8192
MICROSECONDS: Final = 1_000_000
_PRESSURE: Final = re.compile(r"^(some|full) .*\btotal=([0-9]+)$", re.MULTILINE)
_MEMORY: Final = re.compile(r"^(MemTotal|MemAvailable): +([0-9]+) kB$", re.MULTILINE)


class HealthMetrics:
    """Counts into the registry it is given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        up = Gauge(
            "hakoiri_part_up",
            "1 if this part answered when it was asked last.",
            ["part"],
            registry=registry,
        )
        seconds = Gauge(
            "hakoiri_part_check_seconds",
            "How long this part took to answer when it was asked last.",
            ["part"],
            registry=registry,
        )
        self._parts = {part: (up.labels(part), seconds.labels(part)) for part in get_args(Part)}

    def checked(self, part: Part, *, is_up: bool, seconds: float) -> None:
        """Take note of how a part is."""
        up, took = self._parts[part]
        up.set(int(is_up))
        took.set(seconds)


class HostPressure(Collector):
    """What the kernel tells of this host's load; what it does not tell is left out."""

    def __init__(
        self,
        *,
        data_dir: Path,
        proc: Path = PROC,
        free_of: Callable[[Path], float | None] | None = None,
    ) -> None:
        """`free_of` gives the free part of a directory's disk, 0 to 1."""
        self._data_dir = data_dir
        self._proc = proc
        self._free_of = free_of or free_ratio

    def collect(self) -> Iterable[Metric]:
        """Yield the families."""
        stalled = CounterMetricFamily(
            "hakoiri_host_pressure_seconds",
            "Time in which some or all tasks of this host waited for a resource.",
            labels=["resource", "share"],
        )
        for resource in RESOURCES:
            for share, total in _PRESSURE.findall(_read(self._proc / "pressure" / resource)):
                stalled.add_metric([resource, share], int(total) / MICROSECONDS)
        yield stalled
        memory = dict(_MEMORY.findall(_read(self._proc / "meminfo")))
        if len(memory) == 2:  # noqa: PLR2004 - both, or a ratio cannot be told
            yield GaugeMetricFamily(
                "hakoiri_host_memory_available_ratio",
                "Memory of this host that can still be had, of all.",
                value=int(memory["MemAvailable"]) / max(1, int(memory["MemTotal"])),
            )
        free = self._free_of(self._data_dir)
        if free is not None:
            yield GaugeMetricFamily(
                "hakoiri_host_disk_free_ratio",
                "Free bytes of the data directory's disk, of all.",
                value=free,
            )


def free_ratio(directory: Path) -> float | None:
    """Return the free part of the disk that `directory` is on; None if it does not answer."""
    try:
        about = os.statvfs(directory)
    except OSError:
        return None
    return about.f_bavail / max(1, about.f_blocks)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(READ_LIMIT_BYTES).decode("ascii", errors="replace")
    except OSError:
        return ""
