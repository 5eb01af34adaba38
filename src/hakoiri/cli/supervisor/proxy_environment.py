"""The credential proxy's secrets, as an operator writes them into a file that is root's alone."""

import errno
import os
import stat
from pathlib import Path

from hakoiri.cli.supervisor.preparation import PreparationError


def read_proxy_environment(path: Path) -> dict[str, str]:
    """Read `NAME=value` lines; nothing if the file is missing.

    Raises `PreparationError` if others than root can open it, it is a link, or a line is no
    assignment.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    except OSError as error:
        reason = "is a link" if error.errno == errno.ELOOP else error.strerror
        raise PreparationError(f"{path} {reason}: make it a file, root's alone") from error
    with os.fdopen(descriptor, encoding="utf-8") as file:
        status = os.fstat(file.fileno())
        if status.st_uid != 0 or stat.S_IMODE(status.st_mode) & 0o077:
            raise PreparationError(
                f"{path} holds secrets: make it root's alone (chown root, chmod 600)"
            )
        return parse_assignments(path, file.read())


def parse_assignments(path: Path, text: str) -> dict[str, str]:
    """Parse `NAME=value` lines; `PreparationError` tells the line, never what it holds."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip().isidentifier():
            raise PreparationError(f"{path}, line {number}: expected NAME=value")
        found[name.strip()] = value.strip().strip("'\"")
    return found
