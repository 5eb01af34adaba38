"""Sync to a real S3 server beside the tools that people use for it, interleaved, on the same data.

Ours is a recovery point, with hashes, ctimes and a manifest; theirs are plain copies. Who goes
first rotates with the rounds. All read the same files, just written, and a server that was just
given them; nobody synchronises what it writes; each restores onto a disk of its own. The files,
the server's data and those disks are in memory where there is room for them, so that nobody waits
for a disk. A peer that cannot be had is left out and named in the notes, as is one that fails or
takes too long. It ends: no round is begun that would not fit into the time.
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.s3_server import S3Server, s3_server

from benchmarks.file_sync import CHANGED_FILES, FILES, change, fill, live_tree
from benchmarks.fresh_disk import fresh_disk
from benchmarks.memory_place import memory_place
from benchmarks.proxy_bars import limit_line
from benchmarks.report import Report
from benchmarks.sync_bars import lines_of, rounds_in_time
from benchmarks.sync_contenders import (
    ALL_PROGRAMS,
    Contender,
    Ours,
    contenders,
    drop_bucket,
    program_at,
)
from benchmarks.sync_stopwatch import Stopwatch, used_by_s
from hakoiri.host.files.freed_memory import keep_freed_memory
from hakoiri.host.files.ports import LiveTree

LARGE_BYTES = 50 * 1024 * 1024
ROUNDS = 5
"""At most, whatever is asked for: each is a GiB for each contender, up and down."""

REPEATS = 3
"""In a round, of what takes a moment: a save of nothing, and of ten files."""

TIME_S = 900.0
"""No round is begun when another as long as the longest would end after this."""

NOTHING = "nothing changed"
CHANGED = f"{CHANGED_FILES} changed"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is synchronised: small files, and files of 50 MiB."""

    small_files: int
    large_files: int

    @property
    def small(self) -> str:
        """What the small files are called."""
        return f"{self.small_files} small files"

    @property
    def large(self) -> str:
        """What the large files are called."""
        return f"{self.large_files} x {LARGE_BYTES // 1024**2} MiB"

    @property
    def room_bytes(self) -> int:
        """What all of it takes at once: the files, a bucket, a disk, and what is cached of it."""
        return 4 * self.large_files * LARGE_BYTES + 1024**3

    @property
    def bars(self) -> dict[str, float]:
        """The most that ours may take, as a share of the best peer's time."""
        return {
            f"{self.small}: upload": 0.5,
            f"{self.small}: {NOTHING}": 0.5,
            f"{self.small}: {CHANGED}": 0.5,
            f"{self.small}: download": 0.5,
            f"{self.large}: upload": 1.1,
            f"{self.large}: download": 1.1,
        }


WHOLE = Sizes(FILES, 20)
"""What the bars are set for."""

LARGE = Sizes(0, 20)
"""Of those, the large files alone."""

QUICK = Sizes(2000, 3)
"""A look at it, in a minute or two."""

SENT = "one byte changed, MiB sent"
SENT_LIMIT_MIB = 2


def measure(
    samples: int,
    *,
    say: Callable[[str], None],
    sizes: Sizes = WHOLE,
) -> Report:
    """Measure each contender on the same trees, in an order that rotates."""
    keep_freed_memory()  # as the server does
    report = Report("Sync with a real S3 server")
    rounds = min(samples, ROUNDS)
    place = memory_place(sizes.room_bytes)
    if place is None:
        report.notes["on a disk"] = "there is not enough memory: whoever comes later waits for it"
    sent_mib = None
    with tempfile.TemporaryDirectory(prefix="hakoiri-bench-", dir=place) as name:
        base = Path(name)
        (base / "s3").mkdir()
        with s3_server(base / "s3") as server:
            stopwatch = Stopwatch(report, server_s=partial(_used_by, server))
            for number in rounds_in_time(rounds, time.monotonic, time_s=TIME_S):
                say(f"round {number + 1} of {rounds} at most")
                if sizes.small_files:
                    asyncio.run(_small(server, base / f"small{number}", stopwatch, number, sizes))
                sent_mib = asyncio.run(
                    _large(server, base / f"large{number}", stopwatch, number, sizes)
                )
                report.notes["rounds"] = str(number + 1)
    if sizes not in (WHOLE, LARGE):
        report.notes["a smaller tree"] = f"the bars are for {WHOLE.small} and {WHOLE.large}"
    report.notes["load at the end"] = f"{os.getloadavg()[0]:.0f}"
    missing = [name for name in ALL_PROGRAMS if program_at(name) is None]
    if missing:
        report.notes["not measured"] = ", ".join(missing)
    report.samples_ms = dict(sorted(report.samples_ms.items(), key=lambda item: item[0]))
    report.lines = lines_of(report.samples_ms, sizes.bars)
    if sent_mib is not None:
        sent = f"{sizes.large}: {SENT}"
        report.lines.append(limit_line(sent, sent_mib, limit=SENT_LIMIT_MIB, unit="MiB"))
    return report


async def _small(
    server: S3Server, base: Path, stopwatch: Stopwatch, turn: int, sizes: Sizes
) -> None:
    tree = await asyncio.to_thread(live_tree, base / "live")
    await asyncio.to_thread(fill, tree, sizes.small_files)
    await asyncio.sleep(1.1)  # S3 tells times in seconds; nothing shall look newer than its copy
    rotated = _rotated(contenders(server, tree, base), turn)
    for contender in rotated:
        await stopwatch.time(sizes.small, "upload", contender.name, contender.up)
    for step in (NOTHING, CHANGED):
        for repeat in range(REPEATS):
            if step == CHANGED:
                await asyncio.to_thread(change, tree)
                await asyncio.sleep(1.1)
            for contender in _rotated(rotated, repeat):
                await stopwatch.time(sizes.small, step, contender.name, contender.up)
    for contender in rotated:
        await _time_download(contender, base, stopwatch, sizes.small)
    await asyncio.to_thread(shutil.rmtree, base)


async def _large(
    server: S3Server, base: Path, stopwatch: Stopwatch, turn: int, sizes: Sizes
) -> float | None:
    """Measure; return how many MiB ours sent of a file with one changed byte, if it could."""
    tree = await asyncio.to_thread(live_tree, base / "live")
    for number in range(sizes.large_files):
        await asyncio.to_thread(
            (tree.workspace / f"f{number:03}").write_bytes, os.urandom(LARGE_BYTES)
        )
    await asyncio.sleep(1.1)
    sent_mib = None
    for contender in _rotated(contenders(server, tree, base, ALL_PROGRAMS), turn):
        await stopwatch.time(sizes.large, "upload", contender.name, contender.up)
        await _time_download(contender, base, stopwatch, sizes.large)
        if isinstance(contender, Ours):
            sent_mib = await _one_byte(contender, tree, stopwatch, sizes)
        await asyncio.to_thread(drop_bucket, server, contender.bucket)
    await asyncio.to_thread(shutil.rmtree, base)
    return sent_mib


async def _one_byte(ours: Ours, tree: LiveTree, stopwatch: Stopwatch, sizes: Sizes) -> float | None:
    await asyncio.to_thread(_change_one_byte, tree.workspace / "f000")
    if await stopwatch.time(sizes.large, "one byte changed", ours.name, ours.up):
        return ours.uploaded_bytes / 1024**2
    return None


def _rotated(all_of_them: list[Contender], turn: int) -> list[Contender]:
    first = turn % len(all_of_them)
    return all_of_them[first:] + all_of_them[:first]


async def _time_download(contender: Contender, base: Path, stopwatch: Stopwatch, part: str) -> None:
    with fresh_disk(base / f"back-{contender.name.replace(' ', '-')}") as target:
        work = partial(contender.down, target)
        await stopwatch.time(part, "download", contender.name, work)


def _used_by(server: S3Server) -> float:
    return used_by_s(server.process.pid) if server.process else 0.0


def _change_one_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(LARGE_BYTES // 2)
        file.write(b"\0")
