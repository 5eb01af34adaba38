"""Disks of boxes that are gone and that a process still has mounted, as the kernel tells.

An engine that is killed while it starts a container forgets what it had begun: the container's
first process waits for ever, in a mount namespace of its own, and holds what was mounted there.
Nothing here judges, and nothing here writes.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hakoiri.wire.guard import CONTAINER_ID_PATTERN, SOURCE_HOME, SOURCE_WORKSPACE

SYS: Final = Path("/sys")
PROC: Final = Path("/proc")
DISKS_LIMIT: Final = 64
"""So many are told at most."""

SHIM: Final = "containerd-shim"
"""How the kernel shows `containerd-shim-runc-v2`, cut off at 15 characters."""

_REMOVED_DISK: Final = re.compile(
    rf"(?:.*/)?({CONTAINER_ID_PATTERN})/(?:{SOURCE_WORKSPACE}|{SOURCE_HOME})\.img \(deleted\)"
)
"""What the kernel tells of a file that is removed. Where the file was opened in a mount namespace
that is gone, its path begins somewhere on the way."""


@dataclass(frozen=True, slots=True)
class ForgottenDisk:
    """A removed container's disk, and the processes that have it mounted.

    `ends` has for each the process to end: the container's shim, whose end containerd takes for
    its container's, and clears away what is left of it; else the process itself.
    """

    container_id: str
    holders: tuple[int, ...]
    ends: tuple[int, ...]


def read_forgotten_disks(*, sys: Path = SYS, proc: Path = PROC) -> list[ForgottenDisk]:
    """Return the disks of removed boxes that somebody holds, one process for each namespace.

    A device that nobody has mounted is let go by itself. Whose mounts cannot be read (as another
    user than root) holds nothing.
    """
    removed = dict(_removed(sys))
    if not removed:
        return []
    holders: dict[str, list[int]] = {}
    for pid, numbers in _mounted_apart(proc):
        for number in numbers & removed.keys():
            holders.setdefault(number, []).append(pid)
    return [
        ForgottenDisk(
            container_id,
            tuple(holders[number]),
            tuple(_shim_of(pid, proc) or pid for pid in holders[number]),
        )
        for number, container_id in sorted(removed.items())
        if number in holders
    ][:DISKS_LIMIT]


def _removed(sys: Path) -> Iterator[tuple[str, str]]:
    """Yield the device's number (`major:minor`) and the container of each removed disk."""
    for directory in sys.glob("block/loop*"):
        with suppress(OSError):  # let go just now, or never used
            shown = (directory / "loop/backing_file").read_text(errors="replace").strip()
            if found := _REMOVED_DISK.fullmatch(shown):
                number = (directory / "dev").read_text(encoding="ascii").strip()
                yield number, found[1]


def _mounted_apart(proc: Path) -> Iterator[tuple[int, frozenset[str]]]:
    """Yield one process of each mount namespace, with the numbers of the devices mounted there."""
    seen = set()
    for process in sorted(proc.glob("[0-9]*"), key=lambda one: int(one.name)):
        with suppress(OSError):  # it may end while it is looked at
            namespace = str((process / "ns/mnt").readlink())
            if namespace in seen:
                continue
            lines = (process / "mountinfo").read_text(errors="replace").splitlines()
            seen.add(namespace)
            # proc_pid_mountinfo(5): the third field is the device's major:minor
            yield int(process.name), frozenset(line.split(maxsplit=3)[2] for line in lines)


def _shim_of(pid: int, proc: Path) -> int | None:
    """Return the process's parent if that is a containerd shim."""
    try:
        status = (proc / str(pid) / "status").read_text(errors="replace")
        parent = next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:"))
        name = (proc / parent / "comm").read_text(errors="replace").strip()
    except (OSError, StopIteration):
        return None
    return int(parent) if name == SHIM else None
