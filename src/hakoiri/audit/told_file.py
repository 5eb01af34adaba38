"""A small file by which one process tells another how it is, written and read whole.

The file is its writer's alone. Who reads it takes it for what a process says of itself.
"""

import os
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

LIMIT_BYTES: Final = 64 * 1024
MODE: Final = 0o640

Told = TypeVar("Told", bound=BaseModel)


def write_told(path: Path, told: BaseModel) -> None:
    """Write the file whole: who reads sees the old one or the new one. Raises `OSError`."""
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(partial, flags, MODE), "wb") as file:
        file.write(told.model_dump_json().encode("ascii", errors="backslashreplace"))
    partial.rename(path)


def read_told(path: Path, kind: type[Told]) -> Told | None:
    """Return what was told last; None if that is nothing, or nothing of this kind."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            return kind.model_validate_json(file.read(LIMIT_BYTES))
    except (OSError, ValidationError):
        return None
