"""Reads files of a live tree so that what is hashed is one state of the file, or says it cannot.

All of it runs in worker threads, each call with descriptors of its own.
"""

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hakoiri.host.files.descent import GONE_ERRNOS, SWAPPED_ERRNOS, Descent, OutsideError
from hakoiri.host.files.large_file import LargeFile
from hakoiri.host.files.manifest import PERMISSION_BITS, Entry
from hakoiri.host.files.packs import PACK_BYTES, Parts
from hakoiri.host.files.paths import Root
from hakoiri.host.files.pieces import Block
from hakoiri.host.files.plan import Found, LeftOut
from hakoiri.host.files.ports import FilesError, LiveTree
from hakoiri.host.files.scan import CHANGING, ScanLimits, file_refusal

SMALL_FILE_LIMIT_BYTES = 1024 * 1024
"""Up to here a file is read whole into memory; above, it is streamed."""

BATCH_LIMIT_BYTES = PACK_BYTES
"""What one call of `read_small` holds in memory, but for the file that reaches it."""

READ_ATTEMPTS = 3
"""A file that changes while it is read is read again twice."""

SETTLED_NS = 20_000_000
"""A change within one tick of the kernel's clock (10 ms at HZ=100) leaves the ctime as it was."""


class ReadRefusedError(FilesError):
    """This file cannot be part of the recovery point; the message is the reason."""


class ChangingError(ReadRefusedError):
    """The file changed while it was read, each time."""


class GoneError(ReadRefusedError):
    """The file is no longer there."""


@dataclass(slots=True)
class SmallFiles:
    """What one call read: whole files, those to be streamed, and those that cannot be had.

    `rest` was not looked at, because the batch was full.
    """

    read: list[tuple[Entry, bytes]] = field(default_factory=list)
    large: list[Found] = field(default_factory=list)
    left_out: list[tuple[Found, LeftOut]] = field(default_factory=list)
    gone: list[Found] = field(default_factory=list)
    rest: Sequence[Found] = ()


class GrowthBudget:
    """Bytes by which files may have grown between scan and reading, over the whole save."""

    def __init__(self, remaining_bytes: int) -> None:
        self._remaining = remaining_bytes
        self._lock = threading.Lock()

    def take(self, grown_bytes: int) -> bool:
        """Take from the budget if it suffices."""
        with self._lock:
            if grown_bytes > self._remaining:
                return False
            self._remaining -= max(grown_bytes, 0)
            return True


class LargeReading:
    """One reading of an admitted large file, from its first piece to what it then was."""

    def __init__(self, found: Found, status: os.stat_result, read_ns: int, file: LargeFile) -> None:
        self._found = found
        self._status = status
        self._read_ns = read_ns
        self._file = file

    def next_block(self) -> Block | None:
        """Return the next pieces, None at the end; `ReadRefusedError`."""
        try:
            return self._file.next_block()
        except OSError as error:
            raise ReadRefusedError(f"cannot be read: {error.strerror}") from error

    def entry(self, parts: Parts) -> Entry | None:
        """Return the file as it was all the time, in these parts; None if it changed."""
        digest = self._file.digest()
        if digest is None:
            return None
        return _entry(self._found, self._status, digest, self._read_ns, parts)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class FileReader:
    """Reads what a scan found; `wall_ns` is the clock that the file system stamps ctimes with."""

    def __init__(
        self,
        *,
        tree: LiveTree,
        limits: ScanLimits,
        budget: GrowthBudget,
        wall_ns: Callable[[], int],
    ) -> None:
        self._tree = tree
        self._limits = limits
        self._budget = budget
        self._wall_ns = wall_ns

    def read_small(self, batch: Sequence[Found]) -> SmallFiles:
        """Read files until the batch is full; files that turn out large are only named.

        What is read has no parts yet: it is for the caller to store it.
        """
        result = SmallFiles()
        held_bytes = 0
        with ExitStack() as stack:
            descents: dict[Root, Descent] = {}
            for number, found in enumerate(batch):
                if held_bytes >= BATCH_LIMIT_BYTES:
                    result.rest = batch[number:]
                    break
                if found.root not in descents:
                    descents[found.root] = stack.enter_context(Descent(self._path(found.root)))
                held_bytes += self._read_into(result, descents[found.root], found)
        return result

    def open_large(self, found: Found) -> LargeReading:
        """Open a file to be read in pieces; `ReadRefusedError`, `GoneError`."""
        with Descent(self._path(found.root)) as descent:
            descriptor = _open(descent, found)
        try:
            read_ns = self._wall_ns()
            status = self._admit(found, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        is_same = partial(_is_as_before, descriptor, status)
        file = LargeFile(descriptor, status.st_size, is_same=is_same)
        return LargeReading(found, status, read_ns, file)

    def _path(self, root: Root) -> Path:
        return self._tree.home if root == "home" else self._tree.workspace

    def _read_into(self, result: SmallFiles, descent: Descent, found: Found) -> int:
        try:
            read = self._read_whole(descent, found)
        except GoneError:
            result.gone.append(found)
        except ReadRefusedError as error:
            result.left_out.append((found, LeftOut(found.root, found.path, str(error))))
        else:
            if read is not None:
                result.read.append(read)
                return len(read[1])
            result.large.append(found)
        return 0

    def _read_whole(self, descent: Descent, found: Found) -> tuple[Entry, bytes] | None:
        """Return the entry and its bytes; None if the file is too large for that."""
        for _ in range(READ_ATTEMPTS):
            descriptor = _open(descent, found)
            try:
                read_ns = self._wall_ns()
                before = self._admit(found, descriptor)
                if before.st_size > SMALL_FILE_LIMIT_BYTES:
                    return None
                content = _read(descriptor, before.st_size)
                is_stable = _is_same(before, os.fstat(descriptor))
            except OSError as error:
                raise ReadRefusedError(f"cannot be read: {error.strerror}") from error
            finally:
                os.close(descriptor)
            if is_stable and len(content) == before.st_size:
                digest = hashlib.sha256(content).hexdigest()
                return _entry(found, before, digest, read_ns), content
        raise ChangingError(CHANGING)

    def _admit(self, found: Found, descriptor: int) -> os.stat_result:
        """Check what was really opened, which need not be what the scan saw."""
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ReadRefusedError("swapped for something else during the save")
        reason = file_refusal(status, limits=self._limits, owner_uid=self._tree.owner_uid)
        if reason is not None:
            raise ReadRefusedError(reason)
        if not self._budget.take(status.st_size - found.size):
            raise ReadRefusedError(
                f"over the workspace's limit of {self._limits.limit_bytes} bytes"
            )
        return status


def _open(descent: Descent, found: Found) -> int:
    try:
        descriptor = descent.open_file(found.path)
        if os.fstat(descriptor).st_dev != descent.device:
            os.close(descriptor)
            raise ReadRefusedError("on another file system")
    except OutsideError as error:
        raise ReadRefusedError(str(error)) from error
    except OSError as error:
        if error.errno in GONE_ERRNOS:
            raise GoneError from error
        if error.errno in SWAPPED_ERRNOS:
            raise ReadRefusedError("swapped for something else during the save") from error
        raise ReadRefusedError(f"cannot be read: {error.strerror}") from error
    return descriptor


def _read(descriptor: int, size: int) -> bytes:
    pieces = []
    remaining = size
    while remaining and (piece := os.read(descriptor, remaining)):
        pieces.append(piece)
        remaining -= len(piece)
    return b"".join(pieces)


def _is_as_before(descriptor: int, before: os.stat_result) -> bool:
    return _is_same(before, os.fstat(descriptor))


def _is_same(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )


def _entry(
    found: Found, status: os.stat_result, digest: str, read_ns: int, parts: Parts = None
) -> Entry:
    is_settled = read_ns - status.st_ctime_ns >= SETTLED_NS
    return Entry(
        root=found.root,
        path=found.path,
        kind="file",
        mode=stat.S_IMODE(status.st_mode) & PERMISSION_BITS,
        mtime_ns=status.st_mtime_ns,
        size=status.st_size,
        sha256=digest,
        ctime_ns=status.st_ctime_ns if is_settled else 0,
        parts=parts,
    )
