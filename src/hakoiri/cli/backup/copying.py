"""Copies trees that others can write while it copies: no link is followed, only files are taken."""

import errno
import grp
import hashlib
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from hakoiri.cli.backup.listing import BLOCK_BYTES, Entry

LOG_SUFFIX: Final = ".jsonl"
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_OURS: Final = frozenset({errno.ENOENT, errno.ELOOP, errno.ENXIO})
"""What the kernel says of what has gone, is a link, or is a socket."""


class Copies:
    """What is copied into one backup; nothing is copied twice."""

    def __init__(self, backup: Path) -> None:
        """Nothing is copied yet."""
        self._backup = backup
        self._taken: set[PurePosixPath] = set()

    def tree(self, source: Path, name: str, *, without: str | None = None) -> Iterator[Entry]:
        """Copy a directory to `name`; tell of each directory and file.

        What vanishes meanwhile is left out, and so is all that is neither directory nor file, and
        files whose names begin with `without`. A log's file ends after its last line break, as it
        may grow. Raises `OSError`.
        """
        for root, _, files, descriptor in os.fwalk(source, follow_symlinks=False):
            place = PurePosixPath(name) / Path(root).relative_to(source)
            if place not in self._taken:
                self._taken.add(place)
                (self._backup / place).mkdir(mode=0o700, parents=True, exist_ok=True)
                status = os.fstat(descriptor)
                yield Entry(str(place), stat.S_IMODE(status.st_mode), *owner_of(status))
            for inner in sorted(files):
                if without is None or not inner.startswith(without):
                    yield from self._file(inner, place / inner, descriptor)

    def file(self, source: Path, name: str) -> Iterator[Entry]:
        """Copy one file to `name`, if it is there. Raises `OSError`."""
        yield from self._file(str(source), PurePosixPath(name))

    def _file(
        self, path: str, place: PurePosixPath, directory: int | None = None
    ) -> Iterator[Entry]:
        if place in self._taken:
            return
        try:
            descriptor = os.open(path, _READ, dir_fd=directory)
        except OSError as error:
            if error.errno in _NOT_OURS:
                return
            raise
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return
            self._taken.add(place)
            sha256, size = self._write(file, place)
        mode = stat.S_IMODE(status.st_mode)
        yield Entry(str(place), mode, *owner_of(status), sha256=sha256, bytes=size)

    def _write(self, file: BinaryIO, place: PurePosixPath) -> tuple[str, int]:
        target = self._backup / place
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        found, size, held = hashlib.sha256(), 0, b""
        with os.fdopen(os.open(target, _WRITE, 0o600), "wb") as copy:
            while block := file.read(BLOCK_BYTES):
                if place.suffix == LOG_SUFFIX:
                    whole, line_break, held = (held + block).rpartition(b"\n")
                    block = whole + line_break
                found.update(block)
                size += copy.write(block)
            copy.flush()
            os.fsync(copy.fileno())
        return found.hexdigest(), size


def owner_of(status: os.stat_result) -> tuple[str, str]:
    """Return the names of owner and group: another host has them under other numbers."""
    owner, group = str(status.st_uid), str(status.st_gid)
    with suppress(KeyError):
        owner = pwd.getpwuid(status.st_uid).pw_name
    with suppress(KeyError):
        group = grp.getgrgid(status.st_gid).gr_name
    return owner, group
