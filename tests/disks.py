"""Small disks for boxes of tests, and what the kernel tells of loop devices."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hakoiri.docker_guard.disks import Disks
from hakoiri.docker_guard.kernel_mounts import (
    MS_PRIVATE,
    MS_SHARED,
    bind,
    detach_below,
    mount,
)
from hakoiri.docker_guard.rules import DiskRules, DiskSize

MIB = 1024 * 1024
LET_GO_S = 60.0


def disk_rules(
    *, workspace_mib: int = 16, home_mib: int = 16, inodes: int = 256, reserve: bool = False
) -> DiskRules:
    """Disks of some MiB, on a host's disk that may be filled to its end."""
    return DiskRules(
        workspace=DiskSize(bytes=workspace_mib * MIB, inodes=inodes),
        home=DiskSize(bytes=home_mib * MIB, inodes=inodes),
        floor_bytes=0,
        reserve=reserve,
    )


def small_disks(directory: Path, *, rules: DiskRules | None = None) -> Disks:
    """Disks below `directory`, which is made."""
    directory.mkdir(mode=0o700, exist_ok=True)
    return Disks(directory=directory, rules=rules or disk_rules())


@contextmanager
def shared(directory: Path) -> Iterator[Path]:
    """Let what is unmounted below go from other mount namespaces too, as below a guard's directory.

    The processes of a server that starts meanwhile, for another test, have a copy of each mount.
    """
    bind(directory, directory)
    mount(None, directory, flags=MS_PRIVATE)
    mount(None, directory, flags=MS_SHARED)
    try:
        yield directory
    finally:
        detach_below(directory)


def loop_devices_of(directory: Path) -> list[Path]:
    """Return the files below `directory` that a loop device still shows, removed ones as well."""
    return [path for path in _shown() if path.is_relative_to(directory)]


def devices_are_let_go(directory: Path) -> bool:
    """Whether no device shows a file below `directory`, within the time that a busy kernel takes.

    The last one to let go of a mount does not wait for the device.
    """
    deadline_s = time.monotonic() + LET_GO_S
    while loop_devices_of(directory):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True


def boxes_with_devices(container_ids: Iterable[str]) -> set[str]:
    """Return the containers of which a loop device still shows a disk.

    Where a disk was made by a process that has ended, the kernel tells the end of its path alone.
    """
    return {path.parent.name for path in _shown()}.intersection(container_ids)


def _shown() -> Iterator[Path]:
    for name in Path("/sys/block").glob("loop*/loop/backing_file"):
        with suppress(OSError):  # let go just now
            yield Path(name.read_text().strip().removesuffix(" (deleted)"))
