"""Ways into a hostile tree: component by component over directory descriptors.

No link is followed and no mount is crossed, whatever is renamed or swapped meanwhile: a directory
that was opened stays the one that was checked.
"""

import errno
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from hakoiri.host.files.ports import FilesError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a FIFO that took a file's place would wait for a writer for ever.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

GONE_ERRNOS = frozenset((errno.ENOENT,))
"""The path is no longer there."""

SWAPPED_ERRNOS = frozenset((errno.ELOOP, errno.ENOTDIR, errno.EINVAL, errno.ENXIO, errno.EISDIR))
"""Something else took the path's place: a symlink, a file, a socket."""


class OutsideError(FilesError):
    """The path leads to another file system than its root's."""


class Descent:
    """Opens directories below one root and keeps the chain to the last one open.

    Used by one thread at a time; holds one descriptor per level of depth.
    """

    def __init__(self, root: Path) -> None:
        try:
            self._descriptors = [os.open(root, _DIRECTORY)]
        except OSError as error:
            raise FilesError(
                f"{root}: cannot be opened as a directory: {error.strerror}"
            ) from error
        self._names: list[bytes] = []
        self.device = os.fstat(self._descriptors[0]).st_dev

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the whole chain."""
        while self._descriptors:
            os.close(self._descriptors.pop())

    def directory(self, path: bytes) -> int:
        """Return the descriptor of the directory at `path` (empty: the root), for use until next.

        Raises `OSError` as open(2) does, `OutsideError` at a mount point.
        """
        names = path.split(b"/") if path else []
        shared = 0
        for ours, theirs in zip(self._names, names, strict=False):
            if ours != theirs:
                break
            shared += 1
        while len(self._names) > shared:
            os.close(self._descriptors.pop())
            self._names.pop()
        for name in names[shared:]:
            self._enter(name)
        return self._descriptors[-1]

    def open_file(self, path: bytes) -> int:
        """Open what lies at `path` for reading, without waiting and without following a link.

        The caller owns the descriptor and must check with fstat(2) that it is a regular file.
        """
        parent, _, name = path.rpartition(b"/")
        return os.open(name, _FILE, dir_fd=self.directory(parent))

    def _enter(self, name: bytes) -> None:
        if name in (b"", b".", b".."):
            raise OutsideError(f"{name!r} is not the name of a directory")
        descriptor = os.open(name, _DIRECTORY, dir_fd=self._descriptors[-1])
        if os.fstat(descriptor).st_dev != self.device:
            os.close(descriptor)
            raise OutsideError("on another file system")
        self._descriptors.append(descriptor)
        self._names.append(name)
