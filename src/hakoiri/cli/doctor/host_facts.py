"""What is looked at on the host. Nothing here judges, and nothing here writes."""

import grp
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A path as `lstat` sees it; `mode` holds the permission bits."""

    mode: int
    owner: int
    group: int
    is_directory: bool
    is_socket: bool


def look_at(path: Path) -> FileFacts | None:
    """Return what is at `path`, following no link; None if there is nothing."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return FileFacts(
        mode=stat.S_IMODE(status.st_mode),
        owner=status.st_uid,
        group=status.st_gid,
        is_directory=stat.S_ISDIR(status.st_mode),
        is_socket=stat.S_ISSOCK(status.st_mode),
    )


def nearest_directory(path: Path) -> Path:
    """Return `path` or its closest ancestor that is there; it tells which disk `path` is on."""
    return next(one for one in (path, *path.parents) if one.is_dir())


def free_bytes(path: Path) -> int:
    """Return what the disk of `path` has free for programs that are not root's."""
    return shutil.disk_usage(nearest_directory(path)).free


def user_id(name: str) -> int | None:
    """Return the user's id; None if there is no such user."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def group_members(gid: int) -> tuple[str, ...]:
    """Return the names listed in the group; none if there is no such group."""
    try:
        return tuple(grp.getgrgid(gid).gr_mem)
    except KeyError:
        return ()


def find_command(name: str) -> str | None:
    """Return where the command is, the system's own directories included."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def is_readable(path: Path) -> bool:
    """Whether this process may read it."""
    return os.access(path, os.R_OK)
