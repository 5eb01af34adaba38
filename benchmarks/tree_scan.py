"""The scan of a large tree in which nothing changed: its time, and the memory it takes.

Each sample is a process of its own that knows a recovery point of the same files, as a server does,
and nothing else.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.file_sync import fill, live_tree
from benchmarks.proxy_bars import limit_line
from benchmarks.report import Report
from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.packs import Pack, Part
from hakoiri.host.files.plan import Found, entry_of, in_order, make_plan
from hakoiri.host.files.ports import LiveTree
from hakoiri.host.files.scan import ScanLimits, scan

FILES = 100_000
LIMIT_S = 1.5
LIMIT_MB = 100


def measure(samples: int, *, say: Callable[[str], None]) -> Report:
    """Measure on one tree, whose names and inodes are in memory after the first sample."""
    report = Report(f"Scan and plan of {FILES} unchanged files")
    memory_mb: list[float] = []
    with tempfile.TemporaryDirectory(prefix="hakoiri-bench-") as name:
        tree = live_tree(Path(name))
        say(f"{FILES} files are made")
        fill(tree, FILES, file_bytes=1)
        for number in range(-1, samples):
            say(f"sample {number + 1} of {samples}")
            command = [sys.executable, "-m", "benchmarks.tree_scan", name]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout)
            if number < 0:
                continue  # warms the kernel's caches
            report.add("scan and plan", found["wall_ms"])
            report.add("scan and plan, processor time", found["processor_ms"])
            memory_mb.append(found["memory_mb"])
    best_s = min(report.samples_ms["scan and plan"]) / 1000
    report.notes["memory, over what the recovery point itself takes"] = f"{max(memory_mb):.0f} MB"
    report.lines = [
        limit_line(f"scan of {FILES}, the quickest", best_s, limit=LIMIT_S, unit="s"),
        limit_line(f"scan of {FILES}, memory", max(memory_mb), limit=LIMIT_MB, unit="MB"),
    ]
    return report


def measure_here(tree: LiveTree) -> dict[str, float]:
    """Scan once to know all, then once more to find nothing changed."""
    limits = ScanLimits(limit_entries=2 * FILES)
    pack = Pack("0" * 64, "none", 4096, 4096)
    first = scan(tree, limits=limits, monotonic=time.monotonic)
    known = in_order(_known(found, number, pack) for number, found in enumerate(first.found))
    del first
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # proc(5): the peak begins anew
    before_kib = _status_kib("VmRSS")
    wall_s, processor_s = time.perf_counter(), time.process_time()
    seen = scan(tree, limits=limits, monotonic=time.monotonic, known=known)
    plan = make_plan(known, seen)
    wall_s, processor_s = time.perf_counter() - wall_s, time.process_time() - processor_s
    if plan.upload or plan.delete or len(plan.keep) != len(known):
        raise RuntimeError("the tree changed")
    return {
        "wall_ms": wall_s * 1000,
        "processor_ms": processor_s * 1000,
        "memory_mb": (_status_kib("VmHWM") - before_kib) * 1024 / 1e6,
    }


def _known(found: Found, number: int, pack: Pack) -> Entry:
    if found.kind != "file":
        return entry_of(found)
    sha256 = f"{number:064x}"
    return Entry(
        found.root,
        found.path,
        found.kind,
        found.mode,
        found.mtime_ns,
        found.size,
        sha256,
        ctime_ns=found.ctime_ns,
        parts=(Part(pack, 0, found.size, sha256),),
    )


def _status_kib(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise RuntimeError(field)


def main() -> None:
    """Measure the tree that the argument names, and print what was found."""
    base = Path(sys.argv[1])
    tree = LiveTree(base / "workspace", base / "home", os.getuid(), os.getgid())
    sys.stdout.write(json.dumps(measure_here(tree)))


if __name__ == "__main__":
    main()
