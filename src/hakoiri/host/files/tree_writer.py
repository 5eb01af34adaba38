"""Writes a recovery point into an empty tree, by directory descriptors, following no link.

All of it runs in worker threads. Until `finish_directories`, what is written belongs to the host's
user and is closed to the container: below the top of a root nobody else sees a file before all are
there, so it is made under its own name. At the top, which the container may write to, it is made
under a name that nobody knows and moved to its own when it is whole.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
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
    """A file being written; `commit` makes it what it is to be.

    `is_closed`: only the host's user can enter the open directory `parent`.
    """

    def __init__(self, entry: Entry, parent: int, *, is_closed: bool, umask: int) -> None:
        self._entry = entry
        self._mode = entry.mode & PERMISSION_BITS
        self._final_name = entry.path.rpartition(b"/")[2]
        self._name, mode = self._final_name, self._mode
        # A descriptor of its own, for the descent it came from moves on.
        self._directory = None if is_closed else os.dup(parent)
        if not is_closed:
            self._name, mode = f".hakoiri-{secrets.token_hex(8)}".encode(), _CLOSED_FILE_MODE
        self._has_mode = is_closed and not mode & umask
        try:
            self._descriptor = os.open(self._name, _NEW_FILE, mode, dir_fd=parent)
        except OSError:
            if self._directory is not None:
                os.close(self._directory)
            raise

    def write(self, content: bytes | memoryview) -> None:
        """Append all of `content`; `QuotaError` if the disk is full."""
        view = memoryview(content)
        with _told_as(self._entry):
            while view:
                view = view[os.write(self._descriptor, view) :]

    def commit(self, *, uid: int, gid: int) -> None:
        """Set owner, mode and mtime, and move the file to its name if it has another."""
        times = (self._entry.mtime_ns, self._entry.mtime_ns)
        with _told_as(self._entry):
            os.fchown(self._descriptor, uid, gid)
            if not self._has_mode:
                os.fchmod(self._descriptor, self._mode)
            os.utime(self._descriptor, ns=times)
            if self._directory is not None:
                here = self._directory
                os.rename(self._name, self._final_name, src_dir_fd=here, dst_dir_fd=here)

    def close(self) -> None:
        """Let go of the descriptors; an uncommitted file goes with its unfinished tree."""
        os.close(self._descriptor)
        if self._directory is not None:
            os.close(self._directory)


class TreeWriter:
    """Writes entries of a manifest below the two roots of a live tree."""

    def __init__(self, tree: LiveTree) -> None:
        self._tree = tree
        self._umask = _umask()

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
                file = places.new_file(entry, umask=self._umask)
                try:
                    file.write(content)
                    file.commit(uid=self._tree.owner_uid, gid=self._tree.owner_gid)
                finally:
                    file.close()

    def open_file(self, entry: Entry) -> NewFile:
        """Begin a file that is written in pieces; the caller commits and closes it."""
        with _Places(self._tree) as places:
            return places.new_file(entry, umask=self._umask)

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
        self._closed: tuple[Root, bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def directory(self, entry: Entry) -> int:
        return self._descent(entry.root).directory(entry.path)

    def parent(self, entry: Entry) -> tuple[int, bytes]:
        parent, _, name = entry.path.rpartition(b"/")
        return self._descent(entry.root).directory(parent), name

    def new_file(self, entry: Entry, *, umask: int) -> NewFile:
        with _told_as(entry):
            parent, _ = self.parent(entry)
            place = (entry.root, entry.path.rpartition(b"/")[0])
            if place != self._closed:
                self._closed = place if _is_closed(parent) else None
            return NewFile(entry, parent, is_closed=place == self._closed, umask=umask)

    def _descent(self, root: Root) -> Descent:
        if root not in self._descents:
            self._descents[root] = self._stack.enter_context(Descent(self._paths[root]))
        return self._descents[root]


def _is_closed(directory: int) -> bool:
    """Whether it is as `make_directories` made it, and not one that was put in its place."""
    status = os.fstat(directory)
    mode = stat.S_IMODE(status.st_mode)
    return status.st_uid == os.geteuid() and mode == _CLOSED_DIRECTORY_MODE


def _umask() -> int:
    """Return the bits that the kernel takes off a new file's mode; all if it does not say.

    umask(2) can only be asked by setting it, for all threads.
    """
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return PERMISSION_BITS


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
