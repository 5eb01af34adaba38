"""Times forks of a 1 GiB workspace: `file://` store, SQLite, the server's own services."""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.report import Report
from hakoiri.audit.writer import NoAuditLog
from hakoiri.host.adapters.object_store import open_object_store
from hakoiri.host.adapters.sql.database import Database, open_database
from hakoiri.host.adapters.sql.recovery_points import SqlRecoveryPoints
from hakoiri.host.adapters.sql.workspace_heads import SqlWorkspaceHeads
from hakoiri.host.adapters.sql.workspace_store import SqlWorkspaceStore
from hakoiri.host.conversations.fork_service import ForkService
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.points_in_use import PointsInUse
from hakoiri.host.files.point_files import PointFiles
from hakoiri.host.files.ports import LiveTree, ObjectStore
from hakoiri.host.files.scan import ScanLimits
from hakoiri.host.files.sync import FileSync

MIB: Final = 1024 * 1024
SHAPES: Final = {"20 files of 51 MiB": (20, 51 * MIB), "10,000 files of 102 KiB": (10_000, 104_448)}
"""Both are 1 GiB."""

BAR_MS: Final = 100


class NothingDue:
    """Stands for the saver of live workspaces: none is live here."""

    async def try_flush(self, workspace_id: str) -> None:
        del workspace_id


@dataclass(frozen=True, slots=True)
class Ground:
    """A saved workspace with an older recovery point, in a tenant of its own."""

    base: Path
    workspace: Workspace
    older: str
    newest: str


def now() -> datetime:
    return datetime.now(UTC)


def fill(directory: Path, files: int, size: int) -> None:
    for number in range(files):
        below = directory / f"d{number // 100:03}"
        below.mkdir(exist_ok=True)
        (below / f"f{number:05}").write_bytes(os.urandom(size))


async def prepare(
    base: Path, sync: FileSync, workspaces: SqlWorkspaceStore, files: int, size: int
) -> Ground:
    for name in ("workspace", "home"):
        (base / name).mkdir()
    await asyncio.to_thread(fill, base / "workspace", files, size)
    await asyncio.sleep(0.05)  # a file just written is read again by the next save
    workspace = Workspace("w-bench", "t", "default", None, now())
    await workspaces.create_workspace(workspace)
    saved = []
    for number in range(2):
        (base / "workspace/changed").write_text(str(number))
        report = await sync.save(
            tenant="t",
            workspace_id=workspace.id,
            generation=1,
            event_number=0,
            tree=LiveTree(base / "workspace", base / "home", os.getuid(), os.getgid()),
            session_id=None,
        )
        saved.append(report.recovery_point)
    return Ground(base, workspace, *saved)


def stored(base: Path) -> tuple[int, int]:
    """Bytes of packs, and of manifests."""
    sizes = {"packs": 0, "manifests": 0}
    for path in (base / "objects").rglob("*"):
        if path.is_file():
            sizes["packs" if "packs" in path.parts else "manifests"] += path.stat().st_size
    return sizes["packs"], sizes["manifests"]


async def run(base: Path, files: int, size: int, samples: int) -> dict[str, list[float]]:
    """Return milliseconds by what was forked, and bytes copied under `bytes`."""
    store: ObjectStore = open_object_store((base / "objects").as_uri())
    database = await open_database(f"sqlite:///{base}/hakoiri.sqlite")
    try:
        return await _run(base, store, database, (files, size), samples=samples)
    finally:
        await database.close()


async def _run(
    base: Path, store: ObjectStore, database: Database, shape: tuple[int, int], *, samples: int
) -> dict[str, list[float]]:
    workspaces = SqlWorkspaceStore(database)
    heads = SqlWorkspaceHeads(database)
    sync = FileSync(store=store, heads=heads, limits=ScanLimits(), clock=now)
    ground = await prepare(base, sync, workspaces, *shape)
    forks = ForkService(
        points=SqlRecoveryPoints(database),
        files=PointFiles(store=store, manifests=sync.manifests, clock=now),
        in_use=PointsInUse(),
        store=workspaces,
        saver=NothingDue(),  # type: ignore[arg-type]
        clock=now,
        audit=NoAuditLog(),
    )
    times: dict[str, list[float]] = {"newest": [], "older": []}
    packs, manifests = await asyncio.to_thread(stored, base)
    points: Mapping[str, str | None] = {"newest": None, "older": ground.older}
    for _ in range(samples):
        for name, point in points.items():
            begin = time.perf_counter()
            await forks.fork(ground.workspace, point, with_conversation=False)
            times[name].append((time.perf_counter() - begin) * 1000)
    packs_after, manifests_after = await asyncio.to_thread(stored, base)
    times["bytes"] = [packs_after - packs, (manifests_after - manifests) / (2 * samples)]
    return times


def measure(samples: int, *, say: Callable[[str], None]) -> Report:
    """Measure both shapes, each on one workspace that is forked again and again."""
    report = Report(f"Forks of a 1 GiB workspace (bar: {BAR_MS} ms, no byte of a file copied)")
    for shape, (files, size) in SHAPES.items():
        say(f"{shape}: written and saved first")
        with tempfile.TemporaryDirectory(prefix="hakoiri-bench-") as base:
            found = asyncio.run(run(Path(base), files, size, samples))
        copied, written = found.pop("bytes")
        for name, times in found.items():
            for time_ms in times:
                report.add(f"{shape}, {name} point", time_ms)
        report.notes[shape] = f"{copied:.0f} bytes of files copied, {written:.0f} of lists a fork"
    return report
