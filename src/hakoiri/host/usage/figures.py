"""What a container uses, purely: reading the kernel's figures, and telling of many at once.

Sources: the kernel's admin guide, `cgroup-v1/memory.rst`, `cgroup-v1/cpuacct.rst`, `cgroup-v1/
pids.rst` and `cgroup-v2.rst`. Memory is what cannot simply be given back: without the file cache
that was not used lately, as the engine's own `stats` counts it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hakoiri.host.files.quota import TreeUse

NEARLY_PERCENT: Final = 90
NO_LIMIT_BYTES: Final = 1 << 60
"""A limit above this is none: version 1 writes the largest page count there is."""

QUANTILES: Final = (0.5, 0.9, 1.0)
NANOSECONDS: Final = 1_000_000_000
MICROSECONDS: Final = 1_000_000

V1_FILES: Final = {
    "cpu": ("cpuacct", "cpuacct.usage"),
    "memory": ("memory", "memory.usage_in_bytes"),
    "memory_limit": ("memory", "memory.limit_in_bytes"),
    "memory_stat": ("memory", "memory.stat"),
    "oom": ("memory", "memory.oom_control"),
    "pids": ("pids", "pids.current"),
    "pids_limit": ("pids", "pids.max"),
}
"""Controller and file of each figure, version 1."""

V2_FILES: Final = {
    "cpu": "cpu.stat",
    "memory": "memory.current",
    "memory_limit": "memory.max",
    "memory_stat": "memory.stat",
    "oom": "memory.events",
    "pids": "pids.current",
    "pids_limit": "pids.max",
}


class CgroupFormError(ValueError):
    """The kernel's files do not say what they should."""


@dataclass(frozen=True, slots=True)
class CgroupFigures:
    """What the kernel counted of one container. A limit is None where there is none."""

    cpu_seconds: float
    memory_bytes: int
    memory_limit_bytes: int | None
    pids: int
    pids_limit: int | None
    oom_kills: int


@dataclass(frozen=True, slots=True)
class Usage:
    """One container's use. `cpu_cores` is None where it was looked at once only.

    `disk` is None for one that is nobody's yet.
    """

    container_id: str
    figures: CgroupFigures
    at_s: float
    cpu_cores: float | None = None
    disk: TreeUse | None = None

    @property
    def disk_bytes(self) -> int:
        """Bytes in use on its two disks."""
        if self.disk is None:
            return 0
        return sum(disk.used_bytes for disk in self.disk.disks.values())


def parse_v1(files: Mapping[str, str]) -> CgroupFigures:
    """Read the files of `V1_FILES`. Raises `CgroupFormError`."""
    stat = _fields(files["memory_stat"])
    cache = stat.get("total_inactive_file", stat.get("inactive_file", 0))
    return CgroupFigures(
        cpu_seconds=_number(files["cpu"]) / NANOSECONDS,
        memory_bytes=max(0, _number(files["memory"]) - cache),
        memory_limit_bytes=_limit(files["memory_limit"]),
        pids=_number(files["pids"]),
        pids_limit=_limit(files["pids_limit"]),
        oom_kills=_fields(files["oom"]).get("oom_kill", 0),
    )


def parse_v2(files: Mapping[str, str]) -> CgroupFigures:
    """Read the files of `V2_FILES`. Raises `CgroupFormError`."""
    return CgroupFigures(
        cpu_seconds=_fields(files["cpu"]).get("usage_usec", 0) / MICROSECONDS,
        memory_bytes=max(
            0, _number(files["memory"]) - _fields(files["memory_stat"]).get("inactive_file", 0)
        ),
        memory_limit_bytes=_limit(files["memory_limit"]),
        pids=_number(files["pids"]),
        pids_limit=_limit(files["pids_limit"]),
        oom_kills=_fields(files["oom"]).get("oom_kill", 0),
    )


def cores_between(earlier: Usage | None, figures: CgroupFigures, *, at_s: float) -> float | None:
    """Return the processors used since the earlier look; None without one."""
    if earlier is None or at_s <= earlier.at_s:
        return None
    return max(0.0, figures.cpu_seconds - earlier.figures.cpu_seconds) / (at_s - earlier.at_s)


def quantiles_of(values: Sequence[float]) -> dict[float, float]:
    """Return the quantiles of `QUANTILES` by the nearest rank; nothing of nothing."""
    if not values:
        return {}
    in_order = sorted(values)
    last = len(in_order) - 1
    return {quantile: in_order[min(last, int(quantile * len(in_order)))] for quantile in QUANTILES}


def near_limit(used: Sequence[Usage]) -> dict[str, int]:
    """Return how many containers are over 90 % of a limit, by resource."""
    return {
        "memory": sum(
            _is_near(one.figures.memory_bytes, one.figures.memory_limit_bytes) for one in used
        ),
        "pids": sum(_is_near(one.figures.pids, one.figures.pids_limit) for one in used),
    }


def _is_near(value: int, limit: int | None) -> bool:
    return limit is not None and 100 * value > NEARLY_PERCENT * limit


def _number(text: str) -> int:
    text = text.strip()
    if text.isascii() and text.isdigit():
        return int(text)
    raise CgroupFormError(f"{text[:40]!r} is no number")


def _limit(text: str) -> int | None:
    if text.strip() == "max":
        return None
    number = _number(text)
    return number if number < NO_LIMIT_BYTES else None


def _fields(text: str) -> dict[str, int]:
    """Read lines of a name and a number; what is not such a line is passed over."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if value.isascii() and value.isdigit():
            found[name] = int(value)
    return found
