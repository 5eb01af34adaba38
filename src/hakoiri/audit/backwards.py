"""Reads a chain's lines from its end to its beginning, beginning anywhere, a block at a time."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from hakoiri.audit.chain import LINE_LIMIT_BYTES, ChainError, sequence_of
from hakoiri.audit.segments import open_segment, segments

BLOCK_BYTES: Final = 256 * 1024


def lines_backwards(directory: Path, *, below: int | None = None) -> Iterator[bytes]:
    """Yield whole lines, the newest first; with `below`, only those with a smaller number.

    What is torn at the end is left out. Raises `AuditFilesError`, and `ChainError` for a line over
    the bound.
    """
    for segment in reversed(segments(directory)):
        if below is not None and segment.first >= below:
            continue
        with open_segment(segment) as file:
            yield from _backwards(file, _end_of(file, below))


def _backwards(file: BinaryIO, end: int) -> Iterator[bytes]:
    tail = b""
    while end > 0:
        start = max(0, end - BLOCK_BYTES)
        file.seek(start)
        block = file.read(end - start) + tail
        end = start
        parts = block.splitlines(keepends=True)
        head, *rest = parts if start else [b"", *parts]
        if len(head) > LINE_LIMIT_BYTES:
            raise ChainError(f"a line has more than {LINE_LIMIT_BYTES} bytes")
        yield from reversed([line for line in rest if line.endswith(b"\n")])
        tail = head


def _end_of(file: BinaryIO, below: int | None) -> int:
    """Return where the lines with a smaller number than `below` end, by halving the file."""
    size = file.seek(0, os.SEEK_END)
    if below is None:
        return size
    low, high = 0, size  # all before `low` is smaller; what begins at `high` is not, or is the end
    while low < high:
        middle = (low + high) // 2
        start, number = _line_from(file, middle, size)
        if number is None or number >= below:
            high = middle
        else:
            low = start + 1
    return _line_from(file, low, size)[0]


def _line_from(file: BinaryIO, offset: int, size: int) -> tuple[int, int | None]:
    """Return where the first line at or after `offset` begins, and its number; None at the end."""
    start = offset
    if offset > 0:
        file.seek(offset - 1)
        start = offset - 1 + len(file.readline(LINE_LIMIT_BYTES + 1))
    if start >= size:
        return size, None
    file.seek(start)
    with suppress(ChainError):
        return start, sequence_of(file.readline(LINE_LIMIT_BYTES + 1))
    return start, None
