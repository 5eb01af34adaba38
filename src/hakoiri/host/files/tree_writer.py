"""Writes a recovery point into an empty tree, by directory descriptors, following no link.

All of it runs in worker threads. Until `finish_directories`, what is written belongs to the host's
user and is closed to the container.
"""

import errno
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from hakoiri.host.files.descent import Descent
from hakoiri.host.files.manifest import PERMISSION_BITS, Entry
from hakoiri.host.files.paths import Root, reported
from hakoiri.host.files.ports import FilesError, LiveTree, QuotaError
from hakoiri.host.files.scan import AGENT_MEMORY_DIRECTORY

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CLOSED_DIRECTORY_MODE = 0o700
_CLOSED_FILE_MODE = 0o600


class NewFile:
    """A file being written under a name of its own; `commit` gives it its real name."""

    def __init__(self, entry: Entry, directory: int) -> None:
        self._entry = entry
        # A descriptor of its own, for the descent it came from moves on.
        self._directory = os.dup(directory)
        self._name = f".hakoiri-{secrets.token_hex(8)}".encode()
        try:
            self._descriptor = os.open(
                self._name, _NEW_FILE, _CLOSED_FILE_MODE, dir_fd=self._directory
            )
        except OSError:
            os.close(self._directory)
            raise

    def write(self, content: bytes) -> None:
        """Append all of `content`; `QuotaError` if the disk is full."""
        view = memoryview(content)
        with _told_as(self._entry):
            while view:
                view = view[os.write(self._descriptor, view) :]

    def commit(self, *, uid: int, gid: int) -> None:
        """Set owner, mode and mtime, and move the file to its name."""
        entry = self._entry
        with _told_as(entry):
            os.fchown(self._descriptor, uid, gid)
            os.fchmod(self._descriptor, entry.mode & PERMISSION_BITS)
            os.utime(self._descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
            name = entry.path.rpartition(b"/")[2]
            os.rename(self._name, name, src_dir_fd=self._directory, dst_dir_fd=self._directory)

    def close(self) -> None:
        """Let go of the descriptors; an uncommitted file goes with its unfinished tree."""
        os.close(self._descriptor)
        os.close(self._directory)


class TreeWriter:
    """Writes entries of a manifest below the two roots of a live tree."""

    def __init__(self, tree: LiveTree) -> None:
        self._tree = tree

    def check_empty(self) -> None:
        """Raise `FilesError` if a restore would mix with what is there."""
        with Descent(self._tree.workspace) as descent, os.scandir(descent.directory(b"")) as names:
            if next(names, None) is not None:
                raise FilesError("the workspace to restore into is not empty; give a fresh one")
        with Descent(self._tree.home) as descent, os.scandir(descent.directory(b"")) as names:
            if any(os.fsencode(entry.name) == AGENT_MEMORY_DIRECTORY for entry in names):
                raise FilesError("the home to restore into already holds an agent's memory")

    def make_directories(self, entries: Sequence[Entry]) -> None:
        """Make directories, parents first, still closed to the container."""
        with _Places(self._tree) as places:
            for entry in entries:
                with _told_as(entry):
                    parent, name = places.parent(entry)
                    os.mkdir(name, _CLOSED_DIRECTORY_MODE, dir_fd=parent)

    def write_files(self, files: Iterable[tuple[Entry, bytes]]) -> None:
        """Write whole files."""
        with _Places(self._tree) as places:
            for entry, content in files:
                with _told_as(entry):
                    file = NewFile(entry, places.parent(entry)[0])
                try:
                    file.write(content)
                    file.commit(uid=self._tree.owner_uid, gid=self._tree.owner_gid)
                finally:
                    file.close()

    def open_file(self, entry: Entry) -> NewFile:
        """Begin a file that is written in pieces; the caller commits and closes it."""
        with _Places(self._tree) as places, _told_as(entry):
            return NewFile(entry, places.parent(entry)[0])

    def commit_file(self, file: NewFile) -> None:
        """Give a file written in pieces its owner and name."""
        file.commit(uid=self._tree.owner_uid, gid=self._tree.owner_gid)

    def make_symlinks(self, entries: Sequence[Entry]) -> None:
        """Make symlinks as they were, wherever they point; they are never followed here."""
        owner = (self._tree.owner_uid, self._tree.owner_gid)
        with _Places(self._tree) as places:
            for entry in entries:
                with _told_as(entry):
                    parent, name = places.parent(entry)
                    os.symlink(entry.target, name, dir_fd=parent)
                    os.chown(name, *owner, dir_fd=parent, follow_symlinks=False)
                    times = (entry.mtime_ns, entry.mtime_ns)
                    os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)

    def finish_directories(self, entries: Sequence[Entry]) -> None:
        """Give directories their owner, mode and mtime, the deepest first."""
        with _Places(self._tree) as places:
            for entry in reversed(entries):
                with _told_as(entry):
                    descriptor = places.directory(entry)
                    os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
                    os.fchmod(descriptor, entry.mode & PERMISSION_BITS)
                    os.fchown(descriptor, self._tree.owner_uid, self._tree.owner_gid)


class _Places:
    """The directories of both roots, each root opened when first needed."""

    def __init__(self, tree: LiveTree) -> None:
        self._paths: dict[Root, Path] = {"workspace": tree.workspace, "home": tree.home}
        self._descents: dict[Root, Descent] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def directory(self, entry: Entry) -> int:
        return self._descent(entry.root).directory(entry.path)

    def parent(self, entry: Entry) -> tuple[int, bytes]:
        parent, _, name = entry.path.rpartition(b"/")
        return self._descent(entry.root).directory(parent), name

    def _descent(self, root: Root) -> Descent:
        if root not in self._descents:
            self._descents[root] = self._stack.enter_context(Descent(self._paths[root]))
        return self._descents[root]


@contextmanager
def _told_as(entry: Entry) -> Iterator[None]:
    """Turn a system call's error into ours, naming the path."""
    try:
        yield
    except OSError as error:
        said = f"{entry.root}/{reported(entry.path)}: cannot be written: {error.strerror}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise QuotaError(
                f"{said}; raise container.{entry.root}_mib or container.{entry.root}_inodes"
            ) from error
        raise FilesError(said) from error
