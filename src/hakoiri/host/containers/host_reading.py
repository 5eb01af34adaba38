"""What the kernel tells of memory, pressure and processes, read purely from the text of its files.

`/proc/meminfo` and `/proc/pressure/memory` (kernel documentation, filesystems/proc and
accounting/psi), and the files of the control group at the top of what this host shows: where an
engine runs inside of a container, that group's limits hold for all containers, too.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MEMINFO: Final = "/proc/meminfo"
PRESSURE: Final = "/proc/pressure/memory"
PID_MAX: Final = "/proc/sys/kernel/pid_max"
THREADS_MAX: Final = "/proc/sys/kernel/threads-max"
GROUP: Final = "/sys/fs/cgroup"
MEMORY_GROUPS: Final = (
    (f"{GROUP}/memory.max", f"{GROUP}/memory.current", f"{GROUP}/memory.stat", "inactive_file"),
    (
        f"{GROUP}/memory/memory.limit_in_bytes",
        f"{GROUP}/memory/memory.usage_in_bytes",
        f"{GROUP}/memory/memory.stat",
        "total_inactive_file",
    ),
)
"""Limit, use, and where it is told how much of the use is cache; of version 2 and version 1."""

PIDS_GROUPS: Final = (f"{GROUP}/pids.max", f"{GROUP}/pids/pids.max")
FILES: Final = (
    MEMINFO,
    PRESSURE,
    PID_MAX,
    THREADS_MAX,
    *(path for *paths, _ in MEMORY_GROUPS for path in paths),
    *PIDS_GROUPS,
)
"""All that is looked at."""

_FIELD: Final = re.compile(r"(?P<name>[A-Za-z_()]{1,64}): +(?P<kib>[0-9]{1,18}) kB")
_SOME: Final = re.compile(r"^some avg10=(?P<percent>[0-9]{1,3}(?:\.[0-9]{1,6})?) ", re.MULTILINE)
_NUMBER: Final = re.compile(r"[0-9]{1,20}")

Texts = Mapping[str, str]
"""The text of each file that is there."""


@dataclass(frozen=True, slots=True)
class HostReading:
    """How much the host has; None for what it does not tell.

    `pressure_percent` is the share of the last 10 s in which some process waited for memory.
    """

    memory_bytes: int | None = None
    available_bytes: int | None = None
    pressure_percent: float | None = None
    pids: int | None = None

    @property
    def available_percent(self) -> float | None:
        """The share of the memory that is available."""
        if not self.memory_bytes or self.available_bytes is None:
            return None
        return 100 * self.available_bytes / self.memory_bytes


def read_host(texts: Texts) -> HostReading:
    """Return what the files tell; what cannot be understood counts as not told."""
    memory = parse_meminfo(texts.get(MEMINFO, ""))
    total, available = memory.get("MemTotal"), memory.get("MemAvailable")
    for limit_path, use_path, stat_path, cache in MEMORY_GROUPS:
        limit = _number(texts.get(limit_path, ""))
        if limit is None or total is None or limit >= total:
            continue
        total = limit
        used, cached = _number(texts.get(use_path, "")), _field(texts.get(stat_path, ""), cache)
        if used is not None and available is not None:
            available = min(available, max(0, limit - used + (cached or 0)))
    pids = [_number(texts.get(path, "")) for path in (PID_MAX, THREADS_MAX, *PIDS_GROUPS)]
    return HostReading(
        memory_bytes=total,
        available_bytes=available,
        pressure_percent=parse_pressure(texts.get(PRESSURE, "")),
        pids=min((one for one in pids if one is not None), default=None),
    )


def parse_meminfo(text: str) -> dict[str, int]:
    """Return the fields in bytes; lines of another form are passed over."""
    found = {}
    for line in text.splitlines():
        if field := _FIELD.fullmatch(line):
            found[field["name"]] = int(field["kib"]) * 1024
    return found


def parse_pressure(text: str) -> float | None:
    """Return the `avg10` of the line `some`, in percent from 0 to 100; None if there is none."""
    found = _SOME.search(text)
    return min(100.0, float(found["percent"])) if found else None


def _number(text: str) -> int | None:
    """Return a whole number; None for `max`, which is no limit, and for anything else."""
    # `strip` takes more for space than `int` does
    number = text.strip()
    return int(number) if _NUMBER.fullmatch(number) else None


def _field(text: str, name: str) -> int | None:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return _number(value)
    return None
