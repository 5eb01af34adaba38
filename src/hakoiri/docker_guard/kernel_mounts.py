"""Mounting by the kernel's own calls, as mount(2) and umount2(2) describe them.

The standard library only. The `mount` command looks paths up again and takes a process for each.
"""

import ctypes
import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REMOUNT: Final = 32
MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_PRIVATE: Final = 1 << 18
MS_SLAVE: Final = 1 << 19
MS_SHARED: Final = 1 << 20
MNT_DETACH: Final = 2
UMOUNT_NOFOLLOW: Final = 8

_FLAG_OF: Final = {"ro": MS_RDONLY, "nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": MS_NOEXEC}
_OCTAL: Final = re.compile(rb"\\([0-7]{3})")
_FDINFO_BYTES: Final = 4096
"""More than the kernel says of a directory that is open by path alone: four short lines."""

_libc: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class MountPoint:
    """One line of mountinfo: where, with which flags of its own, of which kind of file system."""

    path: Path
    flags: int
    kind: str = ""


def mount(
    source: str | Path | None,
    target: str | Path,
    *,
    flags: int,
    kind: str | None = None,
    options: str | None = None,
) -> None:
    """Make or change a mount, as the manual says. Raises `OSError` that names the target."""
    done = _libc.mount(
        os.fsencode(source) if source is not None else None,
        os.fsencode(target),
        kind.encode() if kind is not None else None,
        ctypes.c_ulong(flags),
        options.encode() if options is not None else None,
    )
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), os.fspath(target))


def bind(source: str | Path, target: str | Path, *, flags: int = 0) -> None:
    """Show `source`, with what is mounted below it, at `target`; `flags` are put on it."""
    mount(source, target, flags=MS_BIND | MS_REC)
    if flags:
        mount(None, target, flags=MS_BIND | MS_REMOUNT | flags)


def detach(target: Path) -> None:
    """Take away the topmost mount at `target`, now, whoever still uses it."""
    if _libc.umount2(os.fsencode(target), MNT_DETACH | UMOUNT_NOFOLLOW) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), os.fspath(target))


def detach_below(directory: Path) -> None:
    """Take away every mount at or below `directory`, innermost first.

    One that lies hidden under a cover is listed too, and goes with its peer.
    """
    for point in reversed(mount_points(below=directory)):
        try:
            detach(point.path)
        except OSError as error:
            if error.errno != errno.EINVAL:  # no mount any more
                raise


def is_mounted(directory: Path) -> bool:
    """Whether something is mounted at the directory, which is there and no link.

    Told by the kernel's number of its mount and of its parent's (proc(5), `fdinfo`), which takes
    the same time on a host with a thousand mounts.
    """
    try:
        own = _mount_id(directory)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return own != _mount_id(directory.parent)


def _mount_id(directory: Path) -> bytes:
    opened = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        told_by = os.open(f"/proc/self/fdinfo/{opened}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            told = os.read(told_by, _FDINFO_BYTES)
        finally:
            os.close(told_by)
    finally:
        os.close(opened)
    return next(line for line in told.splitlines() if line.startswith(b"mnt_id:"))


def mount_points(*, below: Path | None = None) -> list[MountPoint]:
    """Return all mounts that this process sees, in the order in which they were made (proc(5)).

    Or those at or `below` a directory alone: a host with many containers has a thousand others.
    """
    found = []
    place = os.fsencode(below).rstrip(b"/") if below is not None else b""
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        fields = line.split(b" ")
        path = fields[4]
        if b"\\" in path:
            path = _OCTAL.sub(lambda octal: bytes([int(octal[1], 8)]), path)
        if path == place or path.startswith(place + b"/"):
            found.append(_point(path, fields))
    return found


def _point(path: bytes, fields: list[bytes]) -> MountPoint:
    flags = sum(_FLAG_OF.get(word, 0) for word in fields[5].decode("ascii").split(","))
    kind = fields[fields.index(b"-") + 1].decode("ascii", errors="replace")
    return MountPoint(Path(os.fsdecode(path)), flags, kind)
