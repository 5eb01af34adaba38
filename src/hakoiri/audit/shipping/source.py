"""What of a chain is still to be copied: the next whole lines, or the next file that is full."""

import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from hakoiri.audit.chain import AuditError
from hakoiri.audit.segments import Segment, open_segment, segments

BATCH_BYTES: Final = 512 * 1024
"""Read and sent at once; a line has 64 KiB at most."""


class SourceError(AuditError):
    """The chain's files are not those that were copied so far; the message says how."""


class Place(BaseModel):
    """How far a copy got: all before `offset` of the file that begins with line `first`.

    `sequence` is the number of the last line that was copied.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    first: int = Field(ge=1)
    offset: int = Field(ge=0)
    sequence: int = Field(ge=0)


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole lines from `offset` of a file on, and the place after them."""

    segment: Segment
    offset: int
    data: bytes
    after: Place

    @property
    def first(self) -> int:
        """The number of its first line."""
        return self.after.sequence - self.data.count(b"\n") + 1


def next_batch(directory: Path, place: Place | None) -> Batch | None:
    """Return what comes after the place; None if there is nothing yet.

    Raises `SourceError` if what was copied is not there any more, `AuditFilesError`.
    """
    files = segments(directory)
    if place is not None:
        if files and all(one.first != place.first for one in files):
            _require_pruned(files, place)
        files = [one for one in files if one.first >= place.first]
    for segment in files:
        is_begun = place is not None and segment.first == place.first
        offset = place.offset if place is not None and is_begun else 0
        data = _whole_lines(segment, offset)
        if data:
            copied = place.sequence if place is not None and is_begun else segment.first - 1
            after = Place(
                first=segment.first,
                offset=offset + len(data),
                sequence=copied + data.count(b"\n"),
            )
            return Batch(segment, offset, data, after)
    return None


def next_sealed(directory: Path, place: Place | None) -> tuple[Segment, Place] | None:
    """Return the next file to which nothing is added any more, and the place after it."""
    files = segments(directory)
    for segment, following in pairwise(files):
        if place is not None and segment.first < place.first:
            continue
        size = _size(segment)
        if place is not None and segment.first == place.first and place.offset >= size:
            continue
        if size:
            after = Place(first=segment.first, offset=size, sequence=following.first - 1)
            return segment, after
    return None


def missed_lines(segment: Segment, place: Place | None) -> int:
    """Return how many lines before a file were taken away before they were copied."""
    if place is None or segment.first == place.first:
        return 0
    return max(0, segment.first - place.sequence - 1)


def waiting_bytes(directory: Path, place: Place | None, *, sealed_only: bool) -> int:
    """Return how many bytes are still to be copied; of full files alone if `sealed_only`."""
    files = segments(directory)
    counted = files[:-1] if sealed_only else files
    first, offset = (place.first, place.offset) if place is not None else (0, 0)
    return sum(
        max(0, _size(one) - (offset if one.first == first else 0))
        for one in counted
        if one.first >= first
    )


def _whole_lines(segment: Segment, offset: int) -> bytes:
    with open_segment(segment) as file:
        size = file.seek(0, os.SEEK_END)
        if size < offset:
            raise SourceError(f"{segment.path.name} was cut after it was copied")
        file.seek(offset)
        data = file.read(BATCH_BYTES)
    end = data.rfind(b"\n") + 1
    if not end and len(data) == BATCH_BYTES:
        raise SourceError(f"{segment.path.name} has a line of over {BATCH_BYTES} bytes")
    return data[:end]


def _require_pruned(files: list[Segment], place: Place) -> None:
    """A file that was copied may be taken away, if all before it are gone as well."""
    if any(one.first < place.first for one in files):
        raise SourceError(f"the file that begins with line {place.first} is gone")


def _size(segment: Segment) -> int:
    with open_segment(segment) as file:
        return os.fstat(file.fileno()).st_size
