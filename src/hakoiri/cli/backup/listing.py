"""The list of a backup's files, by which it is checked; the head is written when all is there."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

HEAD_FILE: Final = "backup.json"
LIST_FILE: Final = "files.jsonl"
FORMAT: Final = 1
HEAD_LIMIT_BYTES: Final = 64 * 1024
LINE_LIMIT_BYTES: Final = 64 * 1024
BLOCK_BYTES: Final = 1024 * 1024


class BackupError(Exception):
    """The backup cannot be made, is damaged, or cannot be restored here; the message says why."""


class Head(BaseModel):
    """What a backup is of. It is there only if the backup is whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    version: str
    """Of the Hakoiri that made it."""

    instance: str
    made_at: str
    """ISO 8601, in UTC, when it was begun: what came later may be in it or not."""

    has_database: bool
    has_objects: bool
    list_sha256: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One directory (`sha256` empty) or file, by its path within the backup.

    `owner` and `group` are names on the host that it came from, or numbers where there was no name.
    """

    path: str
    mode: int
    owner: str
    group: str
    sha256: str = ""
    bytes: int = 0

    @property
    def is_directory(self) -> bool:
        """Whether it is one."""
        return not self.sha256


def write_listing(backup: Path, entries: Iterable[Entry]) -> str:
    """Write the list; return its SHA-256."""
    found = hashlib.sha256()
    with (backup / LIST_FILE).open("xb") as file:
        for entry in entries:
            line = json.dumps(asdict(entry)).encode() + b"\n"
            found.update(line)
            file.write(line)
        file.flush()
        os.fsync(file.fileno())
    return found.hexdigest()


def write_head(backup: Path, head: Head) -> None:
    """Write the head, the last of all; it is there whole or not at all."""
    partial = backup / f"{HEAD_FILE}.partial"
    with partial.open("xb") as file:
        file.write(head.model_dump_json(indent=2).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    partial.rename(backup / HEAD_FILE)
    descriptor = os.open(backup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_head(backup: Path) -> Head:
    """Read the head. Raises `BackupError` if this is no backup, or one that was not finished."""
    try:
        with (backup / HEAD_FILE).open("rb") as file:
            head = Head.model_validate_json(file.read(HEAD_LIMIT_BYTES))
    except (OSError, ValidationError) as error:
        raise BackupError(f"{backup} is no backup, or was not finished: {error}") from error
    if head.format != FORMAT:
        raise BackupError(
            f"{backup} has format {head.format}, and this version reads {FORMAT}; "
            f"use Hakoiri {head.version}"
        )
    return head


def read_listing(backup: Path, head: Head) -> list[Entry]:
    """Read the list, each entry's path checked to stay inside. Raises `BackupError`."""
    entries: list[Entry] = []
    found = hashlib.sha256()
    try:
        with (backup / LIST_FILE).open("rb") as file:
            while line := file.readline(LINE_LIMIT_BYTES):
                found.update(line)
                entries.append(_entry(line))
    except (OSError, TypeError, ValueError) as error:
        raise BackupError(f"{backup / LIST_FILE} cannot be read: {error}") from error
    if found.hexdigest() != head.list_sha256:
        raise BackupError(f"{backup / LIST_FILE} is not the one that was written")
    return entries


def _entry(line: bytes) -> Entry:
    entry = Entry(**json.loads(line))
    path = Path(entry.path)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{entry.path!r} leads out of the backup")
    return entry


def damaged(backup: Path, entries: Iterable[Entry]) -> Iterator[str]:
    """Say of each file that is missing or not as it was written."""
    for entry in entries:
        path = backup / entry.path
        if entry.is_directory:
            if not path.is_dir() or path.is_symlink():
                yield f"{entry.path} is missing"
            continue
        try:
            if sha256_of(path) != entry.sha256:
                yield f"{entry.path} was changed"
        except OSError as error:
            yield f"{entry.path}: {error.strerror}"


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256; links are not followed. Raises `OSError`."""
    found = hashlib.sha256()
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags), "rb") as file:
        while block := file.read(BLOCK_BYTES):
            found.update(block)
    return found.hexdigest()
