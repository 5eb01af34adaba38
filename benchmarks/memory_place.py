"""A place in memory for a benchmark's files, so that nobody in it waits for a disk."""

import os
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - what is put there has a random name of its own

RESERVE_BYTES: Final = 2 * 1024**3
"""Left to the programs, and to whoever else is on the machine."""


def memory_place(need_bytes: int, *, place: Path = MEMORY) -> Path | None:
    """Return a directory in memory with room for so many bytes; None if there is none."""
    try:
        status = os.statvfs(place)
        free_bytes = min(status.f_bavail * status.f_frsize, available_bytes())
    except OSError:
        return None
    return place if free_bytes >= need_bytes + RESERVE_BYTES else None


def available_bytes(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Return the memory that can be had without swapping, as the kernel counts it; 0 if unknown."""
    for line in meminfo.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return 0
