"""Times contenders of a benchmark in parts of it; who fails is out of that part, and it goes on."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from obstore.exceptions import BaseError

from benchmarks.file_sync import timed
from benchmarks.report import Report
from benchmarks.sync_bars import PROCESSOR, SEPARATOR
from hakoiri.host.files.ports import FilesError

STEP_LIMIT_S: Final = 420.0
"""For one contender's one step. A GiB costs client and server 12 to 18 s of a processor, and on an
overloaded machine they get a tenth of one; or an S3 server stops answering in time."""

SERVER: Final = "server's processor time, "
"""Before what the S3 server used meanwhile."""

FAILED: Final = "left out"
_FAILURES: Final = (FilesError, BaseError, RuntimeError, OSError, TimeoutError)
_REASON_CHARS: Final = 200


class Stopwatch:
    """Adds times to a report. A contender has all of a part's samples there, or none.

    `server_s` says what the server has used of the processors so far.
    """

    def __init__(
        self,
        report: Report,
        *,
        limit_s: float = STEP_LIMIT_S,
        server_s: Callable[[], float] | None = None,
    ) -> None:
        self._report = report
        self._server_s = server_s
        self._limit_s = limit_s
        self._out: set[tuple[str, str]] = set()

    async def time(
        self, part: str, step: str, who: str, work: Callable[[], Awaitable[object]]
    ) -> bool:
        """Time one contender's step, and what it used of the processors; whether it did it."""
        if (part, who) in self._out:
            return False
        name = f"{part}{SEPARATOR}{step}{SEPARATOR}{who}"
        used_s = _used_s()
        server_s = self._server_s() if self._server_s else 0.0
        try:
            async with asyncio.timeout(self._limit_s):
                took_s = await timed(work)
        except _FAILURES as error:
            self._leave_out(part, step, who, error)
            return False
        self._report.add(name, took_s * 1000)
        self._report.add(PROCESSOR + name, (_used_s() - used_s) * 1000)
        if self._server_s:
            self._report.add(SERVER + name, (self._server_s() - server_s) * 1000)
        return True

    def _leave_out(self, part: str, step: str, who: str, error: Exception) -> None:
        self._out.add((part, who))
        samples = self._report.samples_ms
        for name in list(samples):
            told = name.removeprefix(PROCESSOR).removeprefix(SERVER)
            if told.startswith(part + SEPARATOR) and told.endswith(SEPARATOR + who):
                del samples[name]
        reason = f"{step}: {type(error).__name__} {error}".replace("\n", " ")[:_REASON_CHARS]
        self._report.notes[f"{FAILED}, {who}, {part}"] = reason


def used_by_s(pid: int) -> float:
    """Return the processors' time of a process that runs, seconds."""
    after_the_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_the_name[11]) + int(after_the_name[12])) / os.sysconf("SC_CLK_TCK")


def _used_s() -> float:
    """Return the processors' time of this process and of those that it waited for.

    The S3 server is not among them while it runs.
    """
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
