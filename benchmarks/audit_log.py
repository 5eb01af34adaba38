"""The audit log by itself: how long a line is waited for, and how long ten million take to verify.

A line is told while nothing else is, as most are. Its teller waits until it is queued (`append`);
until it is on the disk (`on the disk`), with its `fdatasync`, waits nobody, but a crash of the host
may take it along until then; beside it, in turns, the disk alone takes the same bytes. The long
chain is of a proxy's usual line, in memory if there is room: else the disk would be measured.
"""

import os
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.memory_place import memory_place
from benchmarks.proxy_bars import Line, limit_line
from benchmarks.report import Report
from hakoiri.audit.chain import GENESIS, hash_of, seal
from hakoiri.audit.event import AuditEvent, EventKind, HttpFacts, Stamp
from hakoiri.audit.segments import name_of
from hakoiri.audit.verification import verify_chain
from hakoiri.audit.writer import ChainWriter

APPEND, WRITTEN, DISK = "append", "on the disk", "the disk alone"
LINES: Final = 10_000_000
QUICK_LINES: Final = 500_000
APPENDS_OF_A_SAMPLE: Final = 100
"""So that the usual 20 samples are 2,000 lines, and twenty are beyond the 99th percentile."""

PAUSE_S: Final = 0.003
APPEND_LIMIT_MS: Final = 2.0
VERIFY_LIMIT_S: Final = 60.0
WRITTEN_TIMEOUT_S: Final = 60.0
LINES_OF_A_FILE: Final = 70_000
"""Some 64 MiB, as the writer's files have."""

EVENT: Final = AuditEvent(
    kind=EventKind.PROXY_REQUEST_ALLOWED,
    tenant="default",
    workspace="w0123456789abcdef01",
    container="c0123456789abcdef",
    http=HttpFacts("POST", "model.example.test", 443, "/model/a-model/invoke", 200),
    details={
        "reason": "ok",
        "bytes_up": 1000,
        "bytes_down": 2000,
        "rule": "model",
        "route": "model",
        "credential": "model",
        "generation": 1,
    },
)
_NUMBER: Final = re.compile(rb'"sequence":\d+')


def measure(samples: int, *, say: Callable[[str], None], lines: int = LINES) -> Report:
    """Tell lines, then make a long chain and verify it."""
    report = Report("The audit log by itself")
    with tempfile.TemporaryDirectory(prefix="hakoiri-bench-") as name:
        say(f"{samples * APPENDS_OF_A_SAMPLE} lines are told")
        _append(Path(name), report, samples * APPENDS_OF_A_SAMPLE)
    need_bytes = lines * len(_a_line())
    place = memory_place(need_bytes)
    report.notes["the long chain is"] = "in memory" if place else "on the disk"
    if place is None and shutil.disk_usage(tempfile.gettempdir()).free < 2 * need_bytes:
        raise RuntimeError(f"{need_bytes / 1e9:.0f} GB are needed for {lines} lines")
    with tempfile.TemporaryDirectory(prefix="hakoiri-bench-", dir=place) as name:
        say(f"{lines} lines are made, {need_bytes / 1e9:.1f} GB")
        make_chain(Path(name), lines)
        say("they are verified")
        wall_s, processor_s = _verify(Path(name), lines)
    report.notes["load"] = f"{os.getloadavg()[0]:.1f}"
    report.lines = lines_of(report, wall_s=wall_s, processor_s=processor_s, lines=lines)
    return report


def make_chain(directory: Path, lines: int) -> None:
    """Write a sound chain of so many lines, each as the writer would make it but for its time."""
    made = numbered(_a_line())
    for first in range(1, lines + 1, LINES_OF_A_FILE):
        last = min(lines, first + LINES_OF_A_FILE - 1)
        with (directory / name_of(first)).open("wb") as file:
            file.writelines(next(made) for _ in range(first, last + 1))


def numbered(line: bytes) -> Iterator[bytes]:
    """Yield a chain of the same line: its number and the hash of the one before change."""
    number, previous = 1, GENESIS.encode("ascii")
    match = _NUMBER.search(line)
    if match is None:
        raise ValueError("the line has no number")
    before, after = line[: match.start()], line[match.end() :]
    middle, hash_, end = after.rpartition(previous)
    if not hash_:
        raise ValueError("the line is not the first of a chain")
    while True:
        made = b'%b"sequence":%d%b%b%b' % (before, number, middle, previous, end)
        yield made
        number, previous = number + 1, hash_of(made).encode("ascii")


def lines_of(report: Report, *, wall_s: float, processor_s: float, lines: int) -> list[Line]:
    """Compare with the bars; a chain of fewer lines than the bar is for has none."""
    append_ms, written_ms, disk_ms = (p99(report.samples_ms[n]) for n in (APPEND, WRITTEN, DISK))
    verified = limit_line(
        f"{lines:,} lines verified",
        wall_s,
        limit=VERIFY_LIMIT_S,
        unit="s",
        note=f"{processor_s:.1f} s of a processor",
    )
    written = limit_line(
        "append until on the disk, p99",
        written_ms,
        limit=APPEND_LIMIT_MS,
        unit="ms",
        note=f"the disk alone {disk_ms:.1f} ms",
    )
    return [
        limit_line("append, p99", append_ms, limit=APPEND_LIMIT_MS, unit="ms"),
        # what the disk alone does not do cannot be told of the log
        written if written.is_met or disk_ms <= APPEND_LIMIT_MS else replace(written, is_met=None),
        verified if lines >= LINES else replace(verified, bar="", is_met=None),
    ]


def p99(samples: list[float]) -> float:
    """Return the 99th percentile."""
    return statistics.quantiles(samples, n=100, method="inclusive")[98]


def _append(directory: Path, report: Report, number: int) -> None:
    chain, line = directory / "chain", _a_line()
    chain.mkdir()
    with (
        (directory / "alone").open("wb", buffering=0) as alone,
        ChainWriter(chain, chain="proxy", version="1") as log,
    ):
        log.wait_written(WRITTEN_TIMEOUT_S)
        for _ in range(number):
            time.sleep(PAUSE_S)
            began_s = time.perf_counter()
            log.tell(EVENT)
            told_s = time.perf_counter()
            if not log.wait_written(WRITTEN_TIMEOUT_S):
                raise RuntimeError(f"a line was not written: {log.failure}")
            written_s = time.perf_counter()
            time.sleep(PAUSE_S)
            alone_s = time.perf_counter()
            alone.write(line)
            os.fdatasync(alone.fileno())
            report.add(APPEND, (told_s - began_s) * 1000)
            report.add(WRITTEN, (written_s - began_s) * 1000)
            report.add(DISK, (time.perf_counter() - alone_s) * 1000)


def _a_line() -> bytes:
    return seal(EVENT, Stamp("proxy", "1", 1, datetime.now(UTC)), previous=GENESIS)


def _verify(directory: Path, lines: int) -> tuple[float, float]:
    wall_s, processor_s = time.perf_counter(), time.process_time()
    found = verify_chain(directory, chain="proxy", heads={})
    wall_s, processor_s = time.perf_counter() - wall_s, time.process_time() - processor_s
    if found.broken is not None or found.lines != lines:
        raise RuntimeError(f"the chain does not verify: {found}")
    return wall_s, processor_s
