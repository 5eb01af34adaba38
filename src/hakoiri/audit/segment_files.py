"""The files of a chain, for their one writer: a lock, and lines that are there whole or not."""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from hakoiri.audit.segments import AuditFilesError, End, find_end, name_of

LOCK_NAME: Final = "lock"
SEGMENT_AGE_S: Final = 3600.0
"""Then a file is ended though it is not full, so that whoever copies whole files has it."""

_LOCK_POLL_S: Final = 0.02
_MODE: Final = 0o640
"""The group is the keeper's, which reads."""

_FLAGS: Final = os.O_NOFOLLOW | os.O_CLOEXEC


class SegmentFiles:
    """Appends to the last file, and begins another when it is full."""

    def __init__(
        self,
        directory: Path,
        *,
        segment_bytes: int,
        sync: Callable[[int], None],
        lock_timeout_s: float,
        segment_age_s: float = SEGMENT_AGE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is opened yet. `sync` returns when a descriptor's data survives a crash.

        `clock` gives monotonic seconds.
        """
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._sync = sync
        self._lock_timeout_s = lock_timeout_s
        self._segment_age_s = segment_age_s
        self._clock = clock
        self._begun_s = clock()
        self._lock = -1
        self._file = -1
        self._size = 0

    def open(self) -> End | None:
        """Take the lock and open the last file, whose torn end is cut off; tell where it ended.

        Raises `AuditFilesError`, `ChainError`; nothing is open then.
        """
        try:
            self._take_lock()
            end = find_end(self._directory)
            if end is not None:
                self._file = os.open(end.segment.path, os.O_WRONLY | _FLAGS)
                self._size = end.whole_bytes
                os.ftruncate(self._file, end.whole_bytes)
        except OSError as error:
            self.close()
            raise AuditFilesError(
                f"cannot write the audit log {self._directory}: {error.strerror}"
            ) from error
        except BaseException:
            self.close()
            raise
        return end

    def append(self, data: bytes, *, first: int) -> None:
        """Write and sync lines, of which `first` is the number of the first.

        Raises `OSError`; nothing of the lines is there then.
        """
        is_full = self._size >= self._segment_bytes or self.seconds_to_seal() == 0
        if self._file < 0 or is_full:
            self._begin(first)
        try:
            done = 0
            while done < len(data):
                done += os.pwrite(self._file, data[done:], self._size + done)
            self._sync(self._file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def seconds_to_seal(self) -> float | None:
        """Return in how many seconds the file is old enough to be ended; None if it is empty."""
        if self._file < 0 or self._size == 0:
            return None
        return max(0.0, self._segment_age_s - (self._clock() - self._begun_s))

    def seal(self, first: int) -> None:
        """End the file: begin the one that line `first` will be in. Raises `OSError`."""
        self._begin(first)

    def close(self) -> None:
        """Let go of file and lock."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1

    def _take_lock(self) -> None:
        self._lock = os.open(self._directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | _FLAGS, _MODE)
        deadline_s = time.monotonic() + self._lock_timeout_s
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline_s:
                    raise AuditFilesError(
                        f"another process writes the audit log {self._directory}"
                    ) from None
                time.sleep(_LOCK_POLL_S)
            else:
                return

    def _begin(self, first: int) -> None:
        path = self._directory / name_of(first)
        new = os.open(path, os.O_WRONLY | os.O_CREAT | _FLAGS, _MODE)
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._size = new, 0
        self._begun_s = self._clock()
