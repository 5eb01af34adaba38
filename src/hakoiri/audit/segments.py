"""The files of a chain: one directory, files named by the number of their first line.

Files are opened without following links; a line is read up to a bound.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Final

from hakoiri.audit.chain import (
    LINE_LIMIT_BYTES,
    AuditError,
    ChainError,
    Position,
    follow,
    hash_of,
    previous_of,
    sequence_of,
)

_NAME: Final = re.compile(r"(\d{15})\.jsonl")
_TAIL_BYTES: Final = 2 * LINE_LIMIT_BYTES


class AuditFilesError(AuditError):
    """The log's files cannot be read or written; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One file, and the number of its first line."""

    path: Path
    first: int


def name_of(first: int) -> str:
    """Return the name of the file that begins with that line."""
    return f"{first:015d}.jsonl"


def segments(directory: Path) -> list[Segment]:
    """Return the chain's files in order; raise `AuditFilesError` if they cannot be listed."""
    try:
        names = [path.name for path in directory.iterdir()]
    except OSError as error:
        raise AuditFilesError(f"cannot list {directory}: {error.strerror}") from error
    found = [(name, _NAME.fullmatch(name)) for name in names]
    return sorted(
        (Segment(directory / name, int(match[1])) for name, match in found if match),
        key=lambda segment: segment.first,
    )


def open_segment(segment: Segment) -> BinaryIO:
    """Open a file to read; raise `AuditFilesError` if it is gone, a link or no file."""
    try:
        return os.fdopen(
            os.open(segment.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb"
        )
    except OSError as error:
        raise AuditFilesError(f"cannot read {segment.path}: {error.strerror}") from error


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Return whole lines, with their breaks. What is torn at the end is left out.

    Raises `ChainError` for a line over the bound.
    """
    while line := file.readline(LINE_LIMIT_BYTES + 1):
        if line.endswith(b"\n"):
            yield line
        elif len(line) > LINE_LIMIT_BYTES:
            raise ChainError(f"a line has more than {LINE_LIMIT_BYTES} bytes")
        else:
            return


def read_chain(directory: Path, *, after: int = 0) -> Iterator[bytes]:
    """Return all lines of a chain, from the file that holds line `after` + 1 on."""
    files = segments(directory)
    begin = max((i for i, one in enumerate(files) if one.first <= after + 1), default=0)
    for segment in files[begin:]:
        with open_segment(segment) as file:
            yield from lines_of(file)


@dataclass(frozen=True, slots=True)
class End:
    """Where a chain ends: its last file, the bytes of its whole lines, and of what is torn."""

    segment: Segment
    position: Position
    whole_bytes: int
    torn_bytes: int


def find_end(directory: Path) -> End | None:
    """Return where the chain ends; None if it has not begun.

    Raises `ChainError` if the last line is none of a chain, `AuditFilesError`.
    """
    begun: End | None = None  # a file that a crash left without a whole line
    files = segments(directory)
    for segment in reversed(files):
        size, last, torn_bytes = _last_line(segment)
        if last is None:
            begun = begun or End(segment, Position(segment.first - 1), 0, torn_bytes)
            continue
        previous_of(last)
        position = Position(sequence_of(last), hash_of(last))
        if begun is not None:
            return replace(begun, position=position)
        return End(segment, position, size - torn_bytes, torn_bytes)
    return begun


def _last_line(segment: Segment) -> tuple[int, bytes | None, int]:
    """Return a file's size, its last whole line, and how many bytes come after that."""
    with open_segment(segment) as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - _TAIL_BYTES)
        file.seek(start)
        tail = file.read(size - start)
    whole, line_break, torn = tail.rpartition(b"\n")
    if line_break:
        return size, whole[whole.rfind(b"\n") + 1 :] + b"\n", len(torn)
    if start:
        raise ChainError(f"{segment.path.name} ends in a line of over {_TAIL_BYTES} bytes")
    return size, None, len(torn)


@dataclass(slots=True)
class ChainReader:
    """Follows one chain as it grows, checking each line; remembers where it was."""

    directory: Path
    position: Position = field(default_factory=Position)
    file: Segment | None = None
    offset: int = 0
    last_bytes: int = 0
    """Length of the last line read, which ends at `offset`."""

    def advance(self) -> int:
        """Check what is new, and that the last line read is still there; return how many lines.

        Raises `ChainError`, `AuditFilesError`.
        """
        return sum(1 for _ in self.new_lines())

    def new_lines(self) -> Iterator[bytes]:
        """Yield what is new, line by line, each checked. Raises `ChainError`, `AuditFilesError`."""
        for segment in self._unread():
            if self.file is None or segment.path != self.file.path:
                self.file, self.offset, self.last_bytes = segment, 0, 0
            with open_segment(segment) as file:
                self._require_last_line(file, segment.path.name)
                for line in lines_of(file):
                    self._take(line)
                    yield line

    def _take(self, line: bytes) -> None:
        if self.position.sequence == 0 and self.file is not None and self.file.first > 1:
            # older files were taken away: whether they may be is for `verification` to say
            self.position = Position(self.file.first - 1, previous_of(line))
        self.position = follow(self.position, line)
        self.offset += len(line)
        self.last_bytes = len(line)

    def _require_last_line(self, file: BinaryIO, name: str) -> None:
        if file.seek(0, os.SEEK_END) < self.offset:
            raise ChainError(f"{name} was cut")
        file.seek(self.offset - self.last_bytes)
        if self.last_bytes and hash_of(file.read(self.last_bytes)) != self.position.hash:
            raise ChainError(f"line {self.position.sequence} was changed")

    def _unread(self) -> list[Segment]:
        files = segments(self.directory)
        if self.file is None:
            return files
        known = self.file.first
        if all(one.first != known for one in files):
            raise ChainError(f"{self.file.path.name} is gone")
        return [one for one in files if one.first >= known]
