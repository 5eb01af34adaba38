"""Times file sync on a `file://` store: a first save, an unchanged one, ten changes, a restore."""

import asyncio
import os
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benchmarks.report import Report
from hakoiri.host.adapters.object_store import open_object_store
from hakoiri.host.files.ports import LiveTree
from hakoiri.host.files.scan import ScanLimits, scan
from hakoiri.host.files.sync import FileSync
from hakoiri.host.files.testing import MemoryHeads

FILES = 10_000
FILES_PER_DIRECTORY = 100
FILE_BYTES = 2048
CHANGED_FILES = 10


def live_tree(base: Path) -> LiveTree:
    (base / "workspace").mkdir(parents=True)
    (base / "home").mkdir()
    return LiveTree(base / "workspace", base / "home", os.getuid(), os.getgid())


def fill(tree: LiveTree, files: int, *, file_bytes: int = FILE_BYTES) -> None:
    for number in range(files):
        directory = tree.workspace / f"d{number // FILES_PER_DIRECTORY:04}"
        directory.mkdir(exist_ok=True)
        (directory / f"f{number:06}").write_bytes(os.urandom(file_bytes))


def change(tree: LiveTree) -> None:
    for path in sorted(tree.workspace.rglob("f*"))[:CHANGED_FILES]:
        path.write_bytes(os.urandom(FILE_BYTES))


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    start = time.perf_counter()
    await work()
    return time.perf_counter() - start


async def run_once(base: Path, files: int) -> dict[str, float]:
    tree = await asyncio.to_thread(live_tree, base / "live")
    await asyncio.to_thread(fill, tree, files)
    await asyncio.sleep(0.05)  # a file just written is read again by the next save
    limits = ScanLimits(limit_entries=2 * files + 1000)
    sync = FileSync(
        store=open_object_store((base / "objects").as_uri()),
        heads=MemoryHeads(),
        limits=limits,
        clock=lambda: datetime.now(UTC),
    )
    save = partial(
        sync.save, tenant="t", workspace_id="ws", generation=1, tree=tree, session_id=None
    )
    seconds = {"first save": await timed(partial(save, event_number=1))}
    look = partial(scan, tree, limits=limits, monotonic=time.monotonic)
    seconds["scan alone"] = await timed(partial(asyncio.to_thread, look))
    seconds["nothing changed"] = await timed(partial(save, event_number=2))
    await asyncio.to_thread(change, tree)
    seconds[f"{CHANGED_FILES} changed"] = await timed(partial(save, event_number=3))
    back = await asyncio.to_thread(live_tree, base / "back")
    seconds["restore"] = await timed(
        partial(sync.restore, tenant="t", workspace_id="ws", tree=back)
    )
    return seconds


def measure(samples: int, *, say: Callable[[str], None]) -> Report:
    """Measure on a tree of its own for each sample."""
    report = Report(f"File sync, {FILES} files of {FILE_BYTES} bytes, file:// store")
    for number in range(samples):
        say(f"tree {number + 1} of {samples}")
        with tempfile.TemporaryDirectory(prefix="hakoiri-bench-") as base:
            for work, time_s in asyncio.run(run_once(Path(base), FILES)).items():
                report.add(work, time_s * 1000)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report.notes["peak memory"] = f"{peak_mib:.0f} MiB"
    return report
