"""Each box's two disks: a file each, which the kernel shows as a file system of its own size.

`directory/<container>/` holds `workspace.img` and `home.img`, and where they are mounted for the
engine: `workspace` and `home`. The server does not see this directory; it is shown the same file
systems elsewhere, where nothing in them can be executed. What a container can do ends in the file
system: the image's own bytes, which the kernel's parser reads, come from here alone.
"""

import ctypes
import fcntl
import os
import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from hakoiri.docker_guard import loop_devices
from hakoiri.docker_guard.blank_disk import Blank, BlankDisks, FormatError
from hakoiri.docker_guard.kernel_mounts import (
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    detach_below,
    mount,
)
from hakoiri.docker_guard.ownership import Owner
from hakoiri.docker_guard.refusal import CallRefusedError
from hakoiri.docker_guard.rules import DiskRules
from hakoiri.wire.guard import SOURCE_HOME, SOURCE_WORKSPACE

MIB: Final = 1024 * 1024
OPTIONS: Final = "errors=remount-ro,noinit_itable,nobarrier,noauto_da_alloc"
"""ext4(5). What is wrong is not written on; the tables are zeros already; and as no box outlives
its host, `fsync` need not wait for the host's disk, nor can it keep that busy for others."""

FOR_THE_BOX: Final = MS_NOSUID | MS_NODEV
FOR_THE_HOST: Final = FOR_THE_BOX | MS_NOEXEC

PASSABLE: Final = 0o710
"""Of the way to a box: for root, and for the group of a container's root to pass through. To all
others it is closed, for whoever reaches the proxy's socket may speak for the container."""

EXT4_IOC_SHUTDOWN: Final = 0x8004587D
NO_FLUSH: Final = struct.pack("=I", 2)
"""linux/fs/ext4/ext4.h: the file system ends at once, and what is not on its disk is dropped."""

LOOP_MAJOR: Final = 7
"""Documentation/admin-guide/devices.txt"""

_libc: Final = ctypes.CDLL(None, use_errno=True)


class Disks:
    """The disks of all boxes, each box's within `rules`."""

    def __init__(self, *, directory: Path, rules: DiskRules) -> None:
        """Keep images below `directory`, which only root and the guard may write."""
        self._directory = directory
        self._rules = rules
        self._blanks = BlankDisks()

    def paths(self, container_id: str) -> dict[str, Path]:
        """Return where the engine finds a container's disks, by the names mounts may have."""
        base = self._directory / container_id
        return {name: base / name for name in (SOURCE_WORKSPACE, SOURCE_HOME)}

    def make(self, container_id: str, *, shown: Mapping[str, Path], owner: Owner) -> None:
        """Make and mount a container's disks, and show them to the host at `shown`.

        Raises `CallRefusedError` or `OSError`; what was made until then is left, unmounted.
        """
        self._check_room()
        blanks = self._blanks_of_all()
        base = self._directory / container_id
        base.mkdir(mode=0o700)
        try:
            let_pass(owner, self._directory, base)
            for name, inside in self.paths(container_id).items():
                inside.mkdir(mode=0o700)
                self._mount(blanks[name], inside, shown[name])
                inside.chmod(0o700)
                os.chown(inside, owner.uid, owner.gid)
        except loop_devices.NoLoopDeviceError as error:
            detach_below(base)
            raise CallRefusedError("no-loop-device", str(error), status=500) from error
        except OSError:
            detach_below(base)
            raise

    def _mount(self, blank: Blank, inside: Path, shown: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(inside.with_suffix(".img"), flags, 0o600)
        try:
            if self._rules.reserve:
                _reserve(file, blank.size_bytes)
            blank.write_to(file)
            with loop_devices.attached(file) as device:
                mount(device, inside, kind="ext4", flags=FOR_THE_BOX, options=OPTIONS)
                # the same file system once more: flags are a mount's own
                mount(device, shown, kind="ext4", flags=FOR_THE_HOST, options=OPTIONS)
        finally:
            os.close(file)

    def unmount(self, container_id: str) -> None:
        """Take a container's disks away from the engine; nothing happens if they are gone.

        What was not written yet is dropped, as the files are removed next. Raises `OSError`.
        """
        base = self._directory / container_id
        for inside in self.paths(container_id).values():
            _shut_down(inside)
        detach_below(base)

    def directory_of(self, container_id: str) -> Path:
        """Return what is to be removed of a container whose disks are unmounted."""
        return self._directory / container_id

    def present(self) -> list[str]:
        """Ids of the containers that have disks, or what is left of some. Raises `OSError`."""
        return [entry.name for entry in self._directory.iterdir()]

    def trouble(self) -> str | None:
        """Say why no disk can be made now, and the mend; None if one can."""
        try:
            self._check_room()
            self._blanks_of_all()
            loop_devices.check()
        except CallRefusedError as error:
            return error.detail
        except (loop_devices.NoLoopDeviceError, OSError) as error:
            return str(error)
        return None

    def _check_room(self) -> None:
        """Raise `CallRefusedError` if the host's disk has less free than is to be left."""
        about = os.statvfs(self._directory)
        free_bytes = about.f_bavail * about.f_frsize
        needed_bytes = self._rules.floor_bytes
        if self._rules.reserve:
            needed_bytes += self._rules.workspace.bytes + self._rules.home.bytes
        if free_bytes < needed_bytes:
            raise CallRefusedError(
                "disk-full",
                f"the host's disk has {free_bytes // MIB} MiB free below {self._directory}, and a "
                f"new box needs {needed_bytes // MIB}; free some, or lower "
                "HAKOIRI_GUARD__DISK_FLOOR_MIB",
                status=507,
            )

    def _blanks_of_all(self) -> dict[str, Blank]:
        sizes = {SOURCE_WORKSPACE: self._rules.workspace, SOURCE_HOME: self._rules.home}
        try:
            return {
                name: self._blanks.of(size_bytes=size.bytes, inodes=size.inodes)
                for name, size in sizes.items()
            }
        except FormatError as error:
            raise CallRefusedError("no-disk", str(error), status=500) from error


def let_pass(owner: Owner, *directories: Path) -> None:
    """Let a container's root, which looks up what is mounted, pass through, and no other user."""
    for directory in directories:
        os.chown(directory, -1, owner.root_gid)
        directory.chmod(PASSABLE)


def _reserve(file: int, size_bytes: int) -> None:
    """Take the whole size from the host's disk now (fallocate(2)); raise `OSError` if it is full.

    Not `posix_fallocate`, which would write gigabytes where the file system cannot reserve.
    """
    if _libc.fallocate(file, 0, ctypes.c_longlong(0), ctypes.c_longlong(size_bytes)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "HAKOIRI_GUARD__RESERVE_DISK")


def _shut_down(inside: Path) -> None:
    """End the file system mounted there; a plain directory, which is the host's, is left alone."""
    try:
        directory = os.open(inside, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # nothing is there, or it has ended by itself
        return
    try:
        device = os.fstat(directory).st_dev
        if device != inside.parent.stat().st_dev and os.major(device) == LOOP_MAJOR:
            with suppress(OSError):  # it only spares writing what is thrown away
                fcntl.ioctl(directory, EXT4_IOC_SHUTDOWN, NO_FLUSH)
    finally:
        os.close(directory)
