"""Files that survive a crash of the host, each by itself.

Not syncfs(2): that also waits for what others keep in memory for the same file system, among it
the disks of boxes, which a box can fill as fast as it likes.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

REMEMBERED: Final = 4096
"""Directories that are known to be found after a crash, some 0.3 KB each; then begun anew."""

Sync = Callable[[Path], None]


def sync_path(path: Path) -> None:
    """Return when a file's bytes, or a directory's names, are on the disk; `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class DurableNames:
    """Files below `root`, which is there. Any number of threads may use it at once."""

    def __init__(self, root: Path, *, sync: Sync = sync_path) -> None:
        self._root = root
        self._sync = sync
        self._found: set[Path] = set()

    def keep(self, path: Path) -> None:
        """Return when the file at `path`, below the root, is on the disk and found there.

        A directory on the way is taken for new when it is met for the first time, whoever made it:
        another process may not have come to that yet. Raises `OSError`.
        """
        self._sync(path)
        self._sync(path.parent)
        new = []
        for directory in path.parents:
            if directory in self._found or directory == self._root:
                break
            self._sync(directory.parent)
            new.append(directory)
        if len(self._found) + len(new) > REMEMBERED:
            self._found.clear()
        self._found.update(new)
