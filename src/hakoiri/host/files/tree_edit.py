"""Changes single paths of a live tree: by directory descriptors, following no link.

The tree belongs to a hostile container that may change it at any moment: a directory that was
opened stays the one that was checked, a new file is made under a name nobody knows and moved to its
own, and nothing is opened that somebody else made but directories. All runs in worker threads.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hakoiri.host.files.descent import GONE_ERRNOS, Descent, OutsideError
from hakoiri.host.files.paths import parent_of, reported
from hakoiri.host.files.ports import (
    EditRefusedError,
    FilesError,
    LiveTree,
    NoSpaceError,
    NoSuchFileError,
)

NEW_FILE_MODE = 0o644
NEW_DIRECTORY_MODE = 0o755
REMOVED_LIMIT = 200_000
"""Entries that one removal takes at most; as many as a workspace holds by default."""

DEPTH_LIMIT = 512
"""Levels below the workspace: each costs this process an open descriptor."""

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK_BYTES = 1024 * 1024


def put_file(
    tree: LiveTree,
    path: bytes,
    source: int,
    size: int,
    *,
    start: int = 0,
    new_mode: int = NEW_FILE_MODE,
) -> None:
    """Put `size` bytes of the open file `source`, from `start` on, at `path`, with its directories.

    What was there is replaced, a link itself and never what it leads to; a file's permission bits
    are kept, a new one has `new_mode`. `EditRefusedError` if a directory is there, or something
    else where one is needed.
    """
    with Descent(tree.workspace) as descent, _told_as(path):
        _make_directories(tree, descent, parent_of(path))
        directory = descent.directory(parent_of(path))
        name = path.rpartition(b"/")[2]
        mode = _kept_mode(name, directory, new_mode)
        temporary = f".hakoiri-{secrets.token_hex(8)}".encode()
        descriptor = os.open(temporary, _NEW_FILE, 0o600, dir_fd=directory)
        try:
            _copy(source, start, size, descriptor)
            os.fchown(descriptor, tree.owner_uid, tree.owner_gid)
            os.fchmod(descriptor, mode)
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=directory)
            raise
        finally:
            os.close(descriptor)


def put_folder(tree: LiveTree, path: bytes) -> None:
    """Make a directory and those on its way; one that is there stays as it is.

    `EditRefusedError` if something else is there, or on the way.
    """
    with Descent(tree.workspace) as descent, _told_as(path):
        _make_directories(tree, descent, path)


def remove(tree: LiveTree, path: bytes) -> None:
    """Remove what lies at `path`, a directory with all in it; links are removed, not followed.

    Raises `NoSuchFileError`, `EditRefusedError` for more than `REMOVED_LIMIT` entries.
    """
    with Descent(tree.workspace) as descent, _told_as(path):
        waiting = [path]
        taken = 0
        while waiting:
            taken += 1
            if (
                max(taken, len(waiting)) > 2 * REMOVED_LIMIT
                or waiting[-1].count(b"/") > DEPTH_LIMIT
            ):
                raise EditRefusedError(
                    f"{reported(path)}: holds more than {REMOVED_LIMIT} entries or {DEPTH_LIMIT} "
                    "levels; remove it by a command in the box"
                )
            current = waiting[-1]
            below = _remove_one(descent, current, is_first=current == path)
            if below:
                waiting += below
            else:
                waiting.pop()


def _remove_one(descent: Descent, path: bytes, *, is_first: bool) -> list[bytes]:
    """Remove one entry; if it is a directory that is not empty, return what is in it."""
    try:
        directory = descent.directory(parent_of(path))
        name = path.rpartition(b"/")[2]
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=directory)
            return []
        with suppress(OSError):
            os.rmdir(name, dir_fd=directory)
            return []
        with os.scandir(descent.directory(path)) as listing:
            found = [
                path + b"/" + os.fsencode(entry.name)
                for entry, _ in zip(listing, range(REMOVED_LIMIT), strict=False)
            ]
    except OSError as error:
        if error.errno in GONE_ERRNOS and not is_first:
            return []  # the container was faster
        raise
    descent.directory(parent_of(path))  # let go of it: an open directory can be removed, but costs
    return found


def _make_directories(tree: LiveTree, descent: Descent, path: bytes) -> None:
    """Make the directories up to `path` that are not there."""
    names = path.split(b"/") if path else []
    for depth in range(1, len(names) + 1):
        here = b"/".join(names[:depth])
        try:
            descent.directory(here)
        except FileNotFoundError:
            parent = descent.directory(parent_of(here))
            with suppress(FileExistsError):
                os.mkdir(names[depth - 1], 0o700, dir_fd=parent)
            made = descent.directory(here)
            os.fchown(made, tree.owner_uid, tree.owner_gid)
            os.fchmod(made, NEW_DIRECTORY_MODE)


def _kept_mode(name: bytes, directory: int, new_mode: int) -> int:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return new_mode
    return status.st_mode & 0o777 if stat.S_ISREG(status.st_mode) else new_mode


def _copy(source: int, start: int, size: int, target: int) -> None:
    offset, end = start, start + size
    while offset < end:
        chunk = memoryview(os.pread(source, min(_CHUNK_BYTES, end - offset), offset))
        if not chunk:
            raise FilesError("what was sent became shorter on this host's disk")
        offset += len(chunk)
        while chunk:
            chunk = chunk[os.write(target, chunk) :]


@contextmanager
def _told_as(path: bytes) -> Iterator[None]:
    """Turn a system call's error into ours, naming the path."""
    try:
        yield
    except FileNotFoundError as error:
        raise NoSuchFileError(f"there is no {reported(path)!r}") from error
    except OutsideError as error:
        raise EditRefusedError(f"{reported(path)}: {error}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpaceError(
                f"{reported(path)}: no space is left; remove something or raise the quota"
            ) from error
        raise EditRefusedError(f"{reported(path)}: cannot be changed: {error.strerror}") from error
