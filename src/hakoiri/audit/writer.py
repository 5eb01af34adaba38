"""Writing a chain: events become lines at once, and a thread of its own puts them on the disk.

Whoever tells an event never waits for the disk. Lines are written in the order of their numbers,
and each batch is synced, so that what was told a moment ago survives a crash of the host. When the
disk refuses, lines wait in memory, bounded, and are tried again; events beyond the bound are lost,
and how many is then told in the chain itself.
"""

import fcntl
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from hakoiri.audit.chain import Position, hash_of, seal
from hakoiri.audit.event import AuditEvent, EventKind, Stamp
from hakoiri.audit.segments import AuditFilesError, find_end, name_of

WAITING_LIMIT: Final = 20_000
"""Lines that wait for a disk that refuses: some 15 MB."""

RETRY_S: Final = 1.0
CLOSE_TIMEOUT_S: Final = 5.0
SEGMENT_BYTES: Final = 64 * 1024 * 1024
_MODE: Final = 0o640


class AuditLog(Protocol):
    """Where events are told."""

    def tell(self, event: AuditEvent) -> None:
        """Keep the event. Never waits, never raises."""

    @property
    def failure(self) -> str | None:
        """Why events cannot be kept now; None if they can."""


class NoAuditLog:
    """For a process that was told to keep none."""

    failure: str | None = None

    def tell(self, event: AuditEvent) -> None:
        """Forget it."""


class ChainWriter:
    """The one writer of a chain. Use as a context manager; leaving writes what is left."""

    def __init__(
        self,
        directory: Path,
        *,
        chain: str,
        version: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        segment_bytes: int = SEGMENT_BYTES,
        waiting_limit: int = WAITING_LIMIT,
        sync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        """Write below `directory`, which must exist; nothing is opened yet."""
        self._directory = directory
        self._chain = chain
        self._version = version
        self._now = now
        self._segment_bytes = segment_bytes
        self._waiting_limit = waiting_limit
        self._sync = sync
        self._position = Position()
        self._lock = -1
        self._file = -1
        self._size = 0
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._lost = 0
        self._written = 0
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self.failure: str | None = None

    def __enter__(self) -> Self:
        """Take hold of the chain and go on where it ends.

        Raises `AuditFilesError` if another process writes it or it cannot be written,
        `ChainError` if what is there is no chain.
        """
        try:
            self._open()
        except OSError as error:
            self._release()
            raise AuditFilesError(
                f"cannot write the audit log {self._directory}: {error.strerror}"
            ) from error
        except BaseException:
            self._release()
            raise
        self._thread = threading.Thread(target=self._run, name="audit log", daemon=True)
        self._thread.start()
        self.tell(AuditEvent(kind=EventKind.AUDIT_LOG_OPENED))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what is left, for a bounded time, and let go of the chain."""
        self.tell(AuditEvent(kind=EventKind.AUDIT_LOG_CLOSED))
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(CLOSE_TIMEOUT_S)
        self._release()

    def tell(self, event: AuditEvent) -> None:
        """Keep the event. Never waits for the disk, never raises; any thread may call."""
        with self._changed:
            if len(self._waiting) >= self._waiting_limit:
                self._lost += 1
                return
            if self._lost:
                lost, self._lost = self._lost, 0
                self._add(
                    AuditEvent(
                        kind=EventKind.AUDIT_LINES_LOST, succeeded=False, details={"lines": lost}
                    )
                )
            self._add(event)
            self._changed.notify_all()

    def wait_written(self, timeout_s: float) -> bool:
        """Wait until all that was told so far is on the disk; False if that took too long."""
        with self._changed:
            aim = self._position.sequence
            return self._changed.wait_for(lambda: self._written >= aim, timeout_s)

    def _add(self, event: AuditEvent) -> None:
        sequence = self._position.sequence + 1
        stamp = Stamp(self._chain, self._version, sequence, self._now())
        line = seal(event, stamp, previous=self._position.hash)
        self._position = Position(sequence, hash_of(line))
        self._waiting.append((sequence, line))

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._lock = os.open(self._directory / "lock", flags, _MODE)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AuditFilesError(
                f"another process writes the audit log {self._directory}"
            ) from None
        end = find_end(self._directory)
        if end is None:
            return
        self._position, self._written = end.position, end.position.sequence
        self._file = os.open(end.segment.path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._size = end.whole_bytes
        if end.torn_bytes:
            os.ftruncate(self._file, end.whole_bytes)
            self.tell(
                AuditEvent(kind=EventKind.AUDIT_LOG_REPAIRED, details={"cut_bytes": end.torn_bytes})
            )

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closing)
                batch = list(self._waiting)
            if not batch:
                return
            try:
                self._write(batch)
            except OSError as error:
                self.failure = f"the audit log {self._directory} cannot be written: {error}"
                with self._changed:
                    if self._changed.wait_for(lambda: self._is_closing, RETRY_S):
                        return
                continue
            self.failure = None
            with self._changed:
                for _ in batch:
                    self._waiting.popleft()
                self._written = batch[-1][0]
                self._changed.notify_all()

    def _write(self, batch: list[tuple[int, bytes]]) -> None:
        """Write lines and sync them; after an error nothing of the batch is there."""
        if self._file < 0 or self._size >= self._segment_bytes:
            self._begin_segment(batch[0][0])
        data = b"".join(line for _, line in batch)
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

    def _begin_segment(self, first: int) -> None:
        path = self._directory / name_of(first)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        new = os.open(path, flags, _MODE)
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._size = new, 0

    def _release(self) -> None:
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1
