"""The kernel's log by an open descriptor of `/dev/kmsg`: who was killed by the filter, and whose.

Only a process with CAP_SYSLOG can open it; reading needs no right, so that the supervisor opens it
and the server inherits the descriptor. A container's processes are told by `/proc/PID/cgroup`. A
killed process keeps its groups until its parent has waited for it under cgroup v2; under v1 it
loses them at once, and its parent's are asked instead. When both are gone, nobody knows.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

from hakoiri.host.containers.violations import (
    RECORD_LIMIT_BYTES,
    Violation,
    container_in,
    parse_record,
)

BATCH: Final = 64
"""Records read before other tasks get their turn."""

PROC_FILE_LIMIT_BYTES: Final = 64 * 1024


class KernelLog:
    """What is written from now on. One reader at a time."""

    def __init__(self, descriptor: int, *, processes: Path = Path("/proc")) -> None:
        """Take over an open, non-blocking descriptor."""
        self._descriptor = descriptor
        self._processes = processes

    async def violations(self) -> AsyncGenerator[tuple[Violation, str | None], None]:
        """Yield each violation with the engine's id of its container, or None if it is unclear."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._descriptor, readable.set)
        try:
            while True:
                await readable.wait()
                readable.clear()
                for _ in range(BATCH):
                    try:
                        record = self._read()
                    except BlockingIOError:
                        break
                    if record == b"":
                        return
                    violation = parse_record(record)
                    if violation is not None:
                        yield violation, self._container_of(violation.pid)
        finally:
            loop.remove_reader(self._descriptor)

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self._descriptor)

    def _read(self) -> bytes:
        """Return the next record, however many were overwritten before it could be read."""
        while True:
            with contextlib.suppress(BrokenPipeError):
                return os.read(self._descriptor, RECORD_LIMIT_BYTES)

    def _container_of(self, pid: int) -> str | None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            # the parent first: it is read while the killed process still is one of its children
            parent = _parent_in(self._file(pid, "stat"))
            return container_in(self._file(pid, "cgroup")) or container_in(
                self._file(parent, "cgroup")
            )
        return None

    def _file(self, pid: int, name: str) -> str:
        with (self._processes / str(pid) / name).open("rb") as file:
            return file.read(PROC_FILE_LIMIT_BYTES).decode("utf-8", "replace")


def _parent_in(stat: str) -> int:
    """Return the parent's id in `/proc/PID/stat`; the program's name may hold anything but NUL."""
    return int(stat.rpartition(")")[2].split()[1])
