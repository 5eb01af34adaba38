"""Small files that only root or the proxy's own user can have written."""

import os
import stat
from pathlib import Path
from typing import Final

from hakoiri.credential_proxy.errors import ConfigurationError

FILE_LIMIT_BYTES: Final = 1024 * 1024


def read_trusted_file(path: Path) -> str:
    """Read a small file that only root or our own user can have written.

    Raises:
        ConfigurationError: it is not such a file; the message tells the mend.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be opened: {error.strerror}") from error
    try:
        check_trusted(path, os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(FILE_LIMIT_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > FILE_LIMIT_BYTES:
        raise ConfigurationError(f"{path}: larger than {FILE_LIMIT_BYTES} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 text") from error


def check_trusted(path: Path, status: os.stat_result) -> None:
    """Check that only root or our own user can have written the file that `status` tells of.

    Raises:
        ConfigurationError: it is no regular file, or somebody else's; the message tells the mend.
    """
    if not stat.S_ISREG(status.st_mode):
        raise ConfigurationError(f"{path}: must be a regular file")
    if status.st_uid not in (0, os.geteuid()):
        raise ConfigurationError(f"{path}: must belong to root or to the proxy's user; chown it")
    if status.st_mode & 0o022:
        raise ConfigurationError(f"{path}: others can write it; chmod go-w {path}")
