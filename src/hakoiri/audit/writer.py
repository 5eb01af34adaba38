"""Writing a chain: a thread of its own makes lines of events and puts them on the disk.

Whoever tells an event never waits for the disk. Lines are written in the order of their numbers,
and each batch is synced, so that what was told a moment ago survives a crash of the host. When the
disk refuses, lines wait in memory, bounded, and are tried again; events beyond the bound are lost,
and how many is then told in the chain itself.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self, TypeAlias

from hakoiri.audit.chain import Position, hash_of, seal
from hakoiri.audit.event import AuditEvent, EventKind, Stamp
from hakoiri.audit.segment_files import SEGMENT_AGE_S, SegmentFiles
from hakoiri.audit.standing import Standing

WAITING_LIMIT: Final = 20_000
"""Events that wait for a disk that refuses: some 20 MB."""

BATCH_LIMIT: Final = 500

RETRY_S: Final = 1.0
CLOSE_TIMEOUT_S: Final = 5.0
LOCK_TIMEOUT_S: Final = 5.0
"""How long the end of another writer is waited for: of the process that this one replaces, say."""

SEGMENT_BYTES: Final = 64 * 1024 * 1024

_Told: TypeAlias = tuple[AuditEvent, datetime, float]
"""An event, when it was told, and that in monotonic seconds."""


class AuditLog(Protocol):
    """Where events are told."""

    def tell(self, event: AuditEvent) -> None:
        """Keep the event. Never waits, never raises."""

    @property
    def failure(self) -> str | None:
        """Why events cannot be kept now; None if they can."""

    @property
    def hindrance(self) -> str | None:
        """Why nothing may begin now that has to be recorded; None if it may. Never waits."""


class NoAuditLog:
    """For a process that was told to keep none."""

    failure: str | None = None
    hindrance: str | None = None

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
        lock_timeout_s: float = LOCK_TIMEOUT_S,
        segment_age_s: float = SEGMENT_AGE_S,
        goes_on: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Write below `directory`, which must exist; nothing is opened yet.

        Who `goes_on` is never told of a hindrance. `clock` gives monotonic seconds.
        """
        self._directory = directory
        self._chain = chain
        self._version = version
        self._now = now
        self._waiting_limit = waiting_limit
        self._files = SegmentFiles(
            directory,
            segment_bytes=segment_bytes,
            sync=sync,
            lock_timeout_s=lock_timeout_s,
            segment_age_s=segment_age_s,
        )
        self._clock = clock
        self._standing = Standing(str(directory), waiting_limit=waiting_limit, goes_on=goes_on)
        self._position = Position()
        self._changed = threading.Condition()
        self._waiting: deque[_Told] = deque()
        self._told = 0
        self._written = 0
        self._lost = 0
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="audit log", daemon=True)

    def __enter__(self) -> Self:
        """Take hold of the chain and go on where it ends.

        Raises `AuditFilesError` if another process goes on writing it or it cannot be written,
        `ChainError` if what is there is no chain.
        """
        end = self._files.open()
        if end is not None:
            self._position = end.position
            if end.torn_bytes:
                cut = {"cut_bytes": end.torn_bytes}
                self.tell(AuditEvent(kind=EventKind.AUDIT_LOG_REPAIRED, details=cut))
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
        self._thread.join(CLOSE_TIMEOUT_S)
        self._files.close()

    def tell(self, event: AuditEvent) -> None:
        """Keep the event. Never waits for the disk, never raises; any thread may call."""
        with self._changed:
            if len(self._waiting) >= self._waiting_limit:
                self._lost += 1
                return
            if self._lost:
                lost = {"lines": self._lost}
                self._lost = 0
                self._add(
                    AuditEvent(kind=EventKind.AUDIT_LINES_LOST, succeeded=False, details=lost)
                )
            self._add(event)
            self._changed.notify_all()

    @property
    def failure(self) -> str | None:
        """Why events cannot be kept now; None if they can."""
        try:
            oldest_s = self._waiting[0][2]
        except IndexError:
            oldest_s = None
        return self._standing.failure(
            waiting=len(self._waiting), oldest_s=oldest_s, now_s=self._clock()
        )

    @property
    def hindrance(self) -> str | None:
        """Why nothing may begin now that has to be recorded; None if it may. Never waits."""
        return self._standing.hindrance(self.failure)

    def wait_written(self, timeout_s: float) -> bool:
        """Wait until all that was told so far is on the disk; False if that took too long."""
        with self._changed:
            aim = self._told
            return self._changed.wait_for(lambda: self._written >= aim, timeout_s)

    def _add(self, event: AuditEvent) -> None:
        self._told += 1
        self._waiting.append((event, self._now(), self._clock()))

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._waiting or self._is_closing, self._files.seconds_to_seal()
                )
                batch = list(islice(self._waiting, BATCH_LIMIT))
                if not batch and self._is_closing:
                    return
            try:
                if batch:
                    self._write(batch)
                else:
                    self._files.seal(self._position.sequence + 1)
            except OSError as error:
                self._standing.refused(error)
                with self._changed:
                    if self._changed.wait_for(lambda: self._is_closing, RETRY_S):
                        return
                continue
            self._standing.written()
            with self._changed:
                for _ in batch:
                    self._waiting.popleft()
                self._written += len(batch)
                self._changed.notify_all()

    def _write(self, batch: list[_Told]) -> None:
        """Make lines, write and sync them; after an error nothing of the batch is there."""
        position = self._position
        lines = []
        for event, at, _ in batch:
            stamp = Stamp(self._chain, self._version, position.sequence + 1, at)
            line = seal(event, stamp, previous=position.hash)
            position = Position(stamp.sequence, hash_of(line))
            lines.append(line)
        self._files.append(b"".join(lines), first=self._position.sequence + 1)
        self._position = position
