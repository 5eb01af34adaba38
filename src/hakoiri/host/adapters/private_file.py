"""A file with secrets: root's to write, the server's to read, nobody else's."""

import os
import stat
from pathlib import Path
from typing import Final

LIMIT_BYTES: Final = 16 * 1024
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OTHERS: Final = 0o037
"""To write for the group, or anything for others."""


class PrivateFileError(Exception):
    """The file cannot be used; says what is wrong with it, never what is in it."""


def read_private_file(path: Path, *, owner_uid: int = 0) -> bytes:
    """Return what is in it. Raises `PrivateFileError`; a link is not followed."""
    try:
        descriptor = os.open(path, _OPEN)
    except OSError as error:
        raise PrivateFileError(f"{path}: {error.strerror}") from error
    try:
        _check(path, os.fstat(descriptor), owner_uid)
        content = os.read(descriptor, LIMIT_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > LIMIT_BYTES:
        raise PrivateFileError(f"{path} is over {LIMIT_BYTES} bytes")
    return content


def _check(path: Path, status: os.stat_result, owner_uid: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise PrivateFileError(f"{path} is not a file")
    if status.st_uid != owner_uid or status.st_mode & _OTHERS:
        raise PrivateFileError(
            f"{path} must belong to root, be written by root alone and be closed to others: "
            "chown root:hakoiri, chmod 0640"
        )
