"""Sync to a real S3 server beside the tools that people use for it, interleaved, on the same data.

Ours is a recovery point, with hashes, ctimes and a manifest; theirs are plain copies. Peers that
are not on the PATH are left out and named in the notes.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from tests.s3_server import (
    ACCESS_KEY_ID,
    SECRET_ACCESS_KEY,
    S3Server,
    credentials_file,
    s3_server,
)

from benchmarks.file_sync import CHANGED_FILES, FILES, change, fill, live_tree, timed
from benchmarks.peers.bare_obstore import BareObstore
from benchmarks.report import Report
from hakoiri.host.adapters.object_store import open_object_store
from hakoiri.host.files.ports import LiveTree
from hakoiri.host.files.scan import ScanLimits
from hakoiri.host.files.sync import FileSync
from hakoiri.host.files.testing import MemoryHeads
from hakoiri.host.settings import ObjectStoreSettings

LARGE_FILES = 20
LARGE_BYTES = 50 * 1024 * 1024
RCLONE_BY_SERVER_TIME = ("--update", "--use-server-modtime")
"""Without these it asks for each object's own metadata, one request each."""

SMALL = f"{FILES} small files"
LARGE = f"{LARGE_FILES} x {LARGE_BYTES // 1024**2} MiB"


class Contender(Protocol):
    """Brings a directory into a bucket and back."""

    name: str

    async def up(self) -> None:
        """Make the bucket hold what the directory holds."""

    async def down(self, target: Path) -> None:
        """Fill the empty directory `target` from the bucket."""


class Ours:
    """Recovery points."""

    name = "ours"

    def __init__(self, server: S3Server, tree: LiveTree, base: Path) -> None:
        settings = ObjectStoreSettings(
            credentials_file=credentials_file(base), endpoint=server.endpoint, timeout_s=120
        )
        self._tree = tree
        self._event_number = 0
        self._sync = FileSync(
            store=open_object_store(f"s3://{_bucket(server)}/files", settings),
            heads=MemoryHeads(),
            limits=ScanLimits(),
            clock=lambda: datetime.now(UTC),
        )

    async def up(self) -> None:
        self._event_number += 1
        self.uploaded_bytes = (
            await self._sync.save(
                tenant="t",
                workspace_id="ws",
                generation=1,
                event_number=self._event_number,
                tree=self._tree,
                session_id=None,
            )
        ).uploaded_bytes

    async def down(self, target: Path) -> None:
        back = await asyncio.to_thread(live_tree, target)
        await self._sync.restore(tenant="t", workspace_id="ws", tree=back)


class Command:
    """A peer's own program."""

    def __init__(self, name: str, up: list[str], down: list[str], server: S3Server) -> None:
        self.name = name
        self._up, self._down = up, down
        self._environment = {
            **{key: value for key, value in os.environ.items() if key != "AWS_CA_BUNDLE"},
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_REGION": "us-east-1",
            "RCLONE_CONFIG_S3_TYPE": "s3",
            "RCLONE_CONFIG_S3_PROVIDER": "SeaweedFS",
            "RCLONE_CONFIG_S3_ENDPOINT": server.endpoint,
            "RCLONE_CONFIG_S3_ENV_AUTH": "true",
        }

    async def up(self) -> None:
        await self._run(self._up)

    async def down(self, target: Path) -> None:
        await self._run([part.replace("TARGET", str(target)) for part in self._down])

    async def _run(self, command: list[str]) -> None:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        _, said = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"{self.name}: {said.decode(errors='replace')[-2000:]}")


def contenders(server: S3Server, tree: LiveTree, base: Path) -> list[Contender]:
    """Ours first; then what can be had here, each with a bucket of its own."""
    source = str(tree.workspace)
    found: list[Contender] = [
        Ours(server, tree, base),
        BareObstore(
            server.endpoint, _bucket(server), tree.workspace, ACCESS_KEY_ID, SECRET_ACCESS_KEY
        ),
    ]
    if rclone := shutil.which("rclone"):
        there = f"s3:{_bucket(server)}"
        tuned = [
            "--transfers=32",
            "--checkers=32",
            "--fast-list",
            "--update",
            "--use-server-modtime",
        ]
        found.append(
            Command(
                "rclone",
                [rclone, "sync", source, there, *tuned],
                [rclone, "copy", there, "TARGET", *tuned],
                server,
            )
        )
    if s5cmd := shutil.which("s5cmd"):
        there = f"s3://{_bucket(server)}"
        start = [s5cmd, "--endpoint-url", server.endpoint]
        found.append(
            Command(
                "s5cmd",
                [*start, "sync", f"{source}/", f"{there}/"],
                [*start, "cp", f"{there}/*", "TARGET/"],
                server,
            )
        )
    return found


def measure(samples: int, *, say: Callable[[str], None]) -> Report:
    """Measure each contender on the same trees, in an order that rotates."""
    report = Report("Sync with a real S3 server")
    with tempfile.TemporaryDirectory(prefix="hakoiri-bench-") as name:
        base = Path(name)
        (base / "s3").mkdir()
        with s3_server(base / "s3") as server:
            for number in range(samples):
                say(f"round {number + 1} of {samples}")
                asyncio.run(_small(server, base / f"small{number}", report, number))
                asyncio.run(_large(server, base / f"large{number}", report, number))
    missing = [peer for peer in ("rclone", "s5cmd") if shutil.which(peer) is None]
    if missing:
        report.notes["not on the PATH"] = ", ".join(missing)
    report.samples_ms = dict(sorted(report.samples_ms.items(), key=lambda item: item[0]))
    return report


async def _small(server: S3Server, base: Path, report: Report, turn: int) -> None:
    tree = await asyncio.to_thread(live_tree, base / "live")
    await asyncio.to_thread(fill, tree, FILES)
    await asyncio.sleep(1.1)  # S3 tells times in seconds; nothing shall look newer than its copy
    all_of_them = contenders(server, tree, base)
    rotated = all_of_them[turn % len(all_of_them) :] + all_of_them[: turn % len(all_of_them)]
    for step in ("upload", "nothing changed", f"{CHANGED_FILES} changed"):
        if step.endswith(" changed") and step != "nothing changed":
            await asyncio.to_thread(change, tree)
            await asyncio.sleep(1.1)
        for contender in rotated:
            report.add(f"{SMALL}: {step}: {contender.name}", await timed(contender.up) * 1000)
    for contender in rotated:
        await _time_download(contender, base, report, SMALL)
    await asyncio.to_thread(shutil.rmtree, base)


async def _large(server: S3Server, base: Path, report: Report, turn: int) -> None:
    tree = await asyncio.to_thread(live_tree, base / "live")
    for number in range(LARGE_FILES):
        await asyncio.to_thread(
            (tree.workspace / f"f{number:03}").write_bytes, os.urandom(LARGE_BYTES)
        )
    await asyncio.sleep(1.1)
    all_of_them = contenders(server, tree, base)
    rotated = all_of_them[turn % len(all_of_them) :] + all_of_them[: turn % len(all_of_them)]
    for contender in rotated:
        report.add(f"{LARGE}: upload: {contender.name}", await timed(contender.up) * 1000)
    for contender in rotated:
        await _time_download(contender, base, report, LARGE)
    await asyncio.to_thread(_change_one_byte, tree.workspace / "f000")
    ours = all_of_them[0]
    if isinstance(ours, Ours):
        report.add(f"{LARGE}: one byte changed: ours", await timed(ours.up) * 1000)
        report.notes["one byte changed, ours sent"] = f"{ours.uploaded_bytes / 1024**2:.2f} MiB"
    await asyncio.to_thread(shutil.rmtree, base)


async def _time_download(contender: Contender, base: Path, report: Report, what: str) -> None:
    target = base / f"back-{contender.name}"
    await asyncio.to_thread(target.mkdir)
    seconds = await timed(lambda: contender.down(target))
    report.add(f"{what}: download: {contender.name}", seconds * 1000)
    await asyncio.to_thread(shutil.rmtree, target)


def _change_one_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(LARGE_BYTES // 2)
        file.write(b"\0")


def _bucket(server: S3Server) -> str:
    return server.bucket(f"bench-{os.urandom(6).hex()}")
