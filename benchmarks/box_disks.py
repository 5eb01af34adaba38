"""What a box's disks cost: to make and remove, and for the work done in them."""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.report import Report
from hakoiri.cli.supervisor.guard_rules import disk_rules
from hakoiri.docker_guard.boxes import Boxes
from hakoiri.docker_guard.disks import Disks
from hakoiri.docker_guard.ownership import PLAIN
from hakoiri.host.settings import Settings, load

SMALL_FILES: Final = 10_000
FILES_A_DIRECTORY: Final = 50
LARGE_MIB: Final = 500
SYNCED_FILES: Final = 200
MIB: Final = 1024 * 1024


def measure(samples: int, *, say: Callable[[str], None]) -> Report:
    """Measure making and removing a box, then work in a plain directory and in a disk."""
    report = Report("A box's disks, and the same work in a plain directory")
    settings = load()
    with tempfile.TemporaryDirectory(prefix="hakoiri-bench-", dir="/var/tmp") as name:
        root = Path(name)
        source = _repository(root)
        for number in range(-1, samples):
            say(f"round {number + 1} of {samples}")
            _round(Report("warm-up") if number < 0 else report, root, settings, source)
    return report


def _round(report: Report, root: Path, settings: Settings, source: Path) -> None:
    plain = root / "plain"
    plain.mkdir()
    _work(report, "plain", plain, source)
    with _timed(report, "remove: plain"):
        shutil.rmtree(plain)
    boxes = _boxes(root, settings)
    with _timed(report, "make box"):
        made = boxes.make("bench", owner=PLAIN)
    _work(report, "disk", made["workspace"], source)
    with _timed(report, "remove box"):
        asyncio.run(boxes.remove("bench"))


def _boxes(root: Path, settings: Settings) -> Boxes:
    for name in ("tree", "disks", "stage"):
        (root / name).mkdir(exist_ok=True)
    disks = Disks(directory=root / "disks", rules=disk_rules(settings))
    disks.trouble()  # as the guard does before: `mke2fs` runs once
    return Boxes(
        tree=root / "tree", disks=disks, stage=root / "stage", proxy_sockets=None, proxy_uid=0
    )


def _work(report: Report, where: str, directory: Path, source: Path) -> None:
    # what an earlier part left to be written is not this part's to pay
    os.sync()
    with _timed(report, f"git clone: {where}"):
        subprocess.run(
            ["git", "clone", "-q", "--no-local", source, directory / "clone"], check=True
        )
    os.sync()
    with _timed(report, f"{SMALL_FILES} small files: {where}"):
        _write_small_files(directory)
    os.sync()
    with _timed(report, f"{LARGE_MIB} MiB and fsync: {where}"):
        _write_large(directory)
    with _timed(report, f"{SYNCED_FILES} files, each with fsync: {where}"):
        _write_synced(directory)
    os.sync()
    with _timed(report, f"remove {SMALL_FILES} files: {where}"):
        shutil.rmtree(directory / "small")


def _write_small_files(directory: Path) -> None:
    for number in range(SMALL_FILES):
        parent = directory / "small" / str(number // FILES_A_DIRECTORY)
        if number % FILES_A_DIRECTORY == 0:
            parent.mkdir(parents=True)
        (parent / f"{number}.js").write_bytes(b"x" * (500 + number * 37 % 7000))


def _write_large(directory: Path) -> None:
    block = os.urandom(MIB)
    with (directory / "large").open("wb") as file:
        for _ in range(LARGE_MIB):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def _write_synced(directory: Path) -> None:
    for number in range(SYNCED_FILES):
        with (directory / f"synced-{number}").open("wb") as file:
            file.write(b"x" * 3000)
            file.flush()
            os.fsync(file.fileno())


def _repository(root: Path) -> Path:
    """Make a repository of some thousand files to clone."""
    tree = root / "repository"
    tree.mkdir()
    for number in range(2000):
        parent = tree / str(number // FILES_A_DIRECTORY)
        parent.mkdir(exist_ok=True)
        (parent / f"{number}.py").write_bytes(os.urandom(300 + number * 53 % 9000).hex().encode())
    git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.test", "-C", str(tree)]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *command], check=True)
    return tree


@contextmanager
def _timed(report: Report, name: str) -> Iterator[None]:
    started_s = time.perf_counter()
    yield
    report.add(name, 1000 * (time.perf_counter() - started_s))
