"""Many conversations through one server: does it grow?

Each conversation has a turn that writes a file, a file put, a command run and a file read, and
somebody who watches it; some are frozen and thawed, some lose their container and come back
(`endurance_load`). Warm containers grow too old all the time, and the metrics are read each quarter
of a minute. Whenever some are through, the pool is put down; when no container is left, everything
that our processes hold is counted. A line through the counts, and the noise around it, say whether
they are flat.

Writes a CSV of all samples, the trends as JSON, and a plot as SVG.
"""

import argparse
import csv
import json
import math
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

from tests.disks import loop_devices_of
from tests.e2e.running import Hakoiri, descendants, hakoiri, of_process
from tests.e2e.scripts import RUN

from benchmarks.arguments import count
from benchmarks.descriptors import by_kind, differences
from benchmarks.endurance_load import NO_POOL, SETTINGS, come_back, converse, scraped
from benchmarks.flatness import Trend, fewest_samples, trend
from benchmarks.line_plot import page
from benchmarks.report import machine
from hakoiri.cli.termination import end_in_order_on_sigterm
from hakoiri.cli.workspace_image import workspace_image
from hakoiri.host.settings import DEFAULT_DOCKER_HOST

OUT: Final = Path(__file__).parents[1] / "docs" / "benchmarks"
EXAMPLES: Final = """examples:
  make endurance                                  2,000 conversations; takes hours
  make endurance ARGS="--conversations 200"       less
"""

ROLES: Final = {
    "server": "hakoiri.host",
    "proxy": "hakoiri.credential_proxy",
    "guard": "hakoiri.docker_guard",
    "audit keeper": "hakoiri.audit",
    "audit reader": "hakoiri.audit.reader",
    "model": "hakoiri.rehearsal",
}
GRAINS: Final = {"MiB": 1.0, "descriptors": 1.0, "threads": 1.0, "count": 0.0}
"""The smallest rise over a run that means anything, by unit."""

GONE_TIMEOUT_S: Final = 180.0
SETTLE_S: Final = 1.0

Sample = dict[str, float]


def until_gone(server: Hakoiri) -> None:
    """Wait until no container and no directory of one is left."""
    deadline_s = time.monotonic() + GONE_TIMEOUT_S
    while server.boxes() or server.containers():
        if time.monotonic() > deadline_s:
            raise RuntimeError(f"containers are left: {server.boxes()} {server.containers()}")
        time.sleep(0.1)
    time.sleep(SETTLE_S)


def look(server: Hakoiri) -> Sample:
    """Count what is held, while there is no container: by process, and on the host."""
    found: Sample = {}
    by_role = {role: server.processes(module, with_spares=True) for role, module in ROLES.items()}
    for role, pids in [*by_role.items(), ("supervisor", [server.server.pid])]:
        found[f"{role} RSS, MiB"] = sum(_mib(pid, "Rss") for pid in pids)
        found[f"{role} PSS, MiB"] = sum(_mib(pid, "Pss") for pid in pids)
        found[f"{role} anonymous, MiB"] = sum(_mib(pid, "Anonymous") for pid in pids)
        found[f"{role}, descriptors"] = sum(_entries(pid, "fd") for pid in pids)
        found[f"{role}, threads"] = sum(_entries(pid, "task") for pid in pids)
    everyone = [server.server.pid, *descendants(server.server.pid)]
    found["all PSS, MiB"] = sum(_mib(pid, "Pss") for pid in everyone)
    found["all, descriptors"] = sum(_entries(pid, "fd") for pid in everyone)
    found["processes, count"] = len(everyone)
    found["mounts, count"] = len(server.mounts())
    found["loop devices, count"] = len(loop_devices_of(server.disks))
    found["disks, count"] = len(list(server.disks.iterdir())) if server.disks.exists() else 0
    found["run directory, count"] = sum(1 for _ in server.run_dir.rglob("*"))
    return found


def _mib(pid: int, name: str) -> float:
    for line in of_process(pid, "smaps_rollup").splitlines():
        if line.startswith(f"{name}:"):
            return round(int(line.split()[1]) / 1024, 2)
    return 0.0


def _entries(pid: int, name: str) -> int:
    with suppress(OSError):
        return sum(1 for _ in Path(f"/proc/{pid}/{name}").iterdir())
    return 0


def run(
    server: Hakoiri,
    *,
    conversations: int,
    every: int,
    at_once: int,
    say: Callable[[str], None],
    keep: Callable[[int, Sample], None],
) -> None:
    """Have all the conversations, `at_once` at a time; `keep` a sample after each `every`."""
    first: dict[str, Counter[str]] = {}
    left: dict[int, str] = {}
    with ThreadPoolExecutor(at_once) as pool, scraped(server) as sizes:
        for begin in range(0, conversations, every):
            numbers = range(begin, min(begin + every, conversations))
            began_s = time.monotonic()
            list(pool.map(lambda one: come_back(server, one[1], one[0]), left.items()))
            made = pool.map(lambda number: converse(server, number), numbers)
            left = {number: one for number, one in zip(numbers, made, strict=True) if one}
            server.api.call("PUT", "/v1/pool", NO_POOL)
            until_gone(server)
            sample = look(server)
            server.api.call("DELETE", "/v1/pool")
            keep(numbers[-1] + 1, sample)
            first = first or descriptors(server)
            say(
                f"{numbers[-1] + 1} of {conversations}, {time.monotonic() - began_s:.0f} s; "
                f"server {sample['server PSS, MiB']} MiB, "
                f"{sample['server, descriptors']:.0f} descriptors, "
                f"{len(sizes)} scrapes of {max(sizes, default=0)} bytes at most"
            )

    for role, last in descriptors(server).items():
        for line in differences(first[role], last):
            say(f"descriptors of the {role} since the first sample: {line}")


def descriptors(server: Hakoiri) -> dict[str, Counter[str]]:
    """Return what the descriptors of each process are."""
    return {
        role: by_kind(server.processes(module, with_spares=True)) for role, module in ROLES.items()
    }


def trends(counts: list[int], samples: list[Sample]) -> dict[str, Trend]:
    """Return the trend of each figure."""
    xs = [float(count) for count in counts]
    return {
        name: trend(xs, [sample[name] for sample in samples], grain=GRAINS[name.split(", ")[-1]])
        for name in samples[0]
    }


def told(found: dict[str, Trend]) -> Iterable[str]:
    """Return a line for each figure."""
    for name, one in found.items():
        yield (
            f"| {name} | {one.first:g} | {one.last:g} | {one.slope * 1000:+.3f} | "
            f"{one.noise:.3f} | {verdict(name, one)} |"
        )


def verdict(name: str, one: Trend) -> str:
    """Say whether it is flat.

    PSS is not judged, as what is shared with others counts for more when one of them ends. It hides
    nothing: what a process has in memory (RSS) and what it alone wrote there (anonymous) are
    judged, and a PSS that grows beside them is a sharer's end.
    """
    if "PSS" in name:
        return "not judged"
    return "flat" if one.is_flat else "GROWS"


def main() -> int:
    """Run, write what was found; exit code 1 if anything grows."""
    given = read_arguments()
    end_in_order_on_sigterm()
    counts: list[int] = []
    samples: list[Sample] = []
    table = given.out / "endurance.csv"

    def keep(count: int, sample: Sample) -> None:
        counts.append(count)
        samples.append(sample)
        with table.open("w", newline="", encoding="utf-8") as file:  # whole, if it is cut off
            writer = csv.DictWriter(file, ["conversations", *sample])
            writer.writeheader()
            for number, one in zip(counts, samples, strict=True):
                writer.writerow({"conversations": number, **one})

    with (
        tempfile.TemporaryDirectory(prefix="hakoiri-endurance-") as name,
        hakoiri(
            Path(name),
            docker_host=os.environ.get("HAKOIRI_DOCKER_HOST", DEFAULT_DOCKER_HOST),
            script=RUN,
            settings=SETTINGS | {"HAKOIRI_CONTAINER__IMAGE": workspace_image()},
        ) as server,
    ):
        run(
            server,
            conversations=given.conversations,
            every=given.every,
            at_once=given.at_once,
            say=lambda text: print(text, file=sys.stderr, flush=True),
            keep=keep,
        )
    found = trends(counts, samples)
    _write(given.out, counts, samples, found)
    print("| figure | first | last | per 1,000 | noise | |\n|---|---|---|---|---|---|")
    print("\n".join(told(found)))
    return int(any(verdict(name, one) == "GROWS" for name, one in found.items()))


def read_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line (default: that of this process); exit with 2 if it cannot be meant.

    Whether all will be known at the end, hours later, is known now.
    """
    parser = _parser()
    given = parser.parse_args(words)
    samples, fewest = math.ceil(given.conversations / given.every), fewest_samples()
    if samples < fewest:
        parser.error(
            f"a trend needs {fewest} samples, and --conversations {given.conversations} --every "
            f"{given.every} make {samples}: give more than {given.every * (fewest - 1)} "
            f"conversations{_or_more_often(given.conversations, fewest)}"
        )
    try:
        given.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out {given.out}: {error.strerror}; name a directory that can be written")
    return given


def _or_more_often(conversations: int, samples: int) -> str:
    every = (conversations - 1) // (samples - 1)
    return f", or --every {every} or less" if every else ""


def _write(out: Path, counts: list[int], samples: list[Sample], found: dict[str, Trend]) -> None:
    where = machine()
    panels = {name: [sample[name] for sample in samples] for name in samples[0]}
    title = f"{counts[-1]} conversations through one server, {where['date'][:10]}"
    xs = [float(count) for count in counts]
    (out / "endurance.svg").write_text(page(title, "conversations", xs, panels), encoding="utf-8")
    document = {
        "machine": where,
        "conversations": counts[-1],
        "trends": {name: asdict(one) | {"is_flat": one.is_flat} for name, one in found.items()},
    }
    (out / "endurance.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.endurance",
        description="Have many conversations with one server and see whether it grows. Needs "
        "root, an engine and the image.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--conversations", type=count, default=2000, help="default: 2000")
    parser.add_argument("--every", type=count, default=10, help="a sample each so many (10)")
    parser.add_argument("--at-once", type=count, default=2, help="conversations at a time (2)")
    parser.add_argument("--out", type=Path, default=OUT, help="default: docs/benchmarks")
    return parser


if __name__ == "__main__":
    sys.exit(main())
