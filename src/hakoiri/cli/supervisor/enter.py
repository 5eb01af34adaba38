"""Arranges what a process sees, then becomes it. Runs as root in a mount namespace of its own.

The standard library only: this runs before rights are given up, and at every start.
"""

import errno
import json
import os
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from hakoiri.docker_guard.kernel_mounts import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REMOUNT,
    MS_SLAVE,
    bind,
    detach,
    mount,
    mount_points,
)

COVER: Final = "size=1m,mode=0755"
SCRATCH: Final = "size=64m,mode=1777"
DEVICES: Final = tuple(Path("/dev", name) for name in ("full", "null", "random", "urandom", "zero"))
NOT_A_MOUNT: Final = frozenset({errno.EINVAL, errno.ENOENT, errno.ENOTDIR})
"""What the kernel says of a mount point that lies hidden under another mount."""


def closed_ancestors(path: Path) -> list[Path]:
    """Return the parents of `path`, outermost first, that other users may not pass through."""
    return [
        parent
        for parent in reversed(path.parents)
        if parent.is_dir() and not parent.stat().st_mode & 0o001
    ]


def receive_only(shared: list[Path]) -> None:
    """Let mounts of the host come in, and none of ours go out but those below `shared`."""
    for point in mount_points():
        if not is_within(point.path, shared):
            _unless_hidden(point.path, MS_SLAVE)


def show(paths: list[Path]) -> None:
    """Make `paths` reachable for every user where a closed directory stands in the way.

    The closed directory is covered, in this namespace alone, by an empty one that can be passed,
    and the paths are bound into it: what else it holds is then out of sight altogether.
    """
    blocked = {path: closed for path in paths if (closed := closed_ancestors(path))}
    cover({closed[0] for closed in blocked.values()}, kept=list(blocked))


def hide(paths: list[Path]) -> None:
    """Cover each directory that exists by an empty one."""
    for path in paths:
        if path.is_dir():
            mount("tmpfs", path, kind="tmpfs", flags=MS_RDONLY, options="size=4k,mode=0700")


def cover(
    directories: Iterable[Path], *, kept: list[Path], scratch: frozenset[Path] = frozenset()
) -> None:
    """Cover directories by empty ones, and bind what is to be kept of them to its place again."""
    outermost = [
        path
        for path in sorted(set(directories))
        if path.is_dir() and not any(parent in directories for parent in path.parents)
    ]
    inside = sorted({path for path in kept if is_within(path, outermost) and path.exists()})
    descriptors = {path: os.open(path, os.O_PATH) for path in inside}
    for directory in outermost:
        size = SCRATCH if directory in scratch else COVER
        mount("tmpfs", directory, kind="tmpfs", flags=MS_NOSUID | MS_NODEV, options=size)
    for path, descriptor in descriptors.items():
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
        elif not path.exists():
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            path.touch(mode=0o444)
        bind(f"/proc/self/fd/{descriptor}", path)
        os.close(descriptor)


def let_go(directories: Iterable[Path], *, kept: list[Path]) -> None:
    """Take away what is mounted below the directories: a cover alone would hold on to it.

    A container of somebody else would keep its disk space for as long as we run.
    """
    for point in reversed(mount_points()):
        below = is_within(point.path, directories) and point.path not in directories
        needed = is_within(point.path, kept) or any(is_within(one, [point.path]) for one in kept)
        if below and not needed:
            with suppress(OSError):  # hidden under another, which stays
                detach(point.path)


def seal(view: dict[str, list[str]]) -> None:
    """Leave nothing writable but what is named, and nothing to be seen of whole directories.

    `covered` and `scratch` directories, and those that other users may not pass, keep only what is
    in `kept`, `writable` or `received`; a scratch one may be written. Below `received`, which
    itself is read-only, the mounts that come in stay as they are; no others come in. Devices are
    gone but the harmless ones. With this, CAP_DAC_OVERRIDE can change no file of the host, and open
    no socket or disk behind its back.
    """
    writable, received, kept, covered, scratch = (
        [real(path) for path in view[name]]
        for name in ("writable", "received", "kept", "covered", "scratch")
    )
    for point in mount_points():
        if not is_within(point.path, received):
            _unless_hidden(point.path, MS_PRIVATE)
    seen = [*kept, *writable, *received]
    closed = {found[0] for path in seen if (found := closed_ancestors(path))}
    away = {*covered, *scratch, *closed}
    let_go(away, kept=[*seen, *DEVICES])
    cover(away, kept=[*seen, *DEVICES], scratch=frozenset(scratch))
    for path in writable:
        bind(path, path, flags=MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for point in mount_points():
        inner = is_within(point.path, received) and point.path not in received
        if not inner and not is_within(point.path, writable) and point.path not in scratch:
            flags = point.flags | MS_RDONLY | MS_NOSUID
            flags |= 0 if point.path in DEVICES else MS_NODEV
            _unless_hidden(point.path, MS_BIND | MS_REMOUNT | flags)


def real(path: str) -> Path:
    """Return the path without links: mounts lie on what it stands for."""
    return Path(os.path.realpath(path))


def is_within(path: Path, directories: Iterable[Path]) -> bool:
    """Whether the path is one of the directories or lies below one."""
    return any(path.is_relative_to(directory) for directory in directories)


def _unless_hidden(path: Path, flags: int) -> None:
    try:
        mount(None, path, flags=flags)
    except OSError as error:
        if error.errno not in NOT_A_MOUNT:
            raise


def main() -> None:
    """Carry out the plan given as JSON, then execute its command."""
    plan = json.loads(sys.argv[1])
    if plan["shared"]:
        receive_only([real(path) for path in plan["shared"]])
    if plan["view"] is None:
        show([Path(path) for path in plan["shown"]])
    hide([Path(path) for path in plan["hidden"]])
    if plan["view"] is not None:
        seal(plan["view"])
    os.execvp(plan["command"][0], plan["command"])  # noqa: S606 - that is what this program is for


if __name__ == "__main__":
    main()
