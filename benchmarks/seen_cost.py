"""What it costs to be seen: a turn with metrics, audit log and traces, and one without.

Two servers that differ in nothing else run the same turn at the same time, each in a live box, so
that what else the machine does is felt by both. Counted is the processors' time by the kernel's
clocks: of our own processes (server, proxy, guard, the audit log's keeper and reader), and of the
box; not of the model, which a script stands in for. The cost is told as a part of the turn's time,
the box's with it, and as a part of our own processes' alone. It is that of a server that does one
turn after the other: figures are asked for and spans are sent by time, and so cost a turn the less
the more turns there are.

Off: no audit log, no traces, and nobody asks for figures. On: an audit log, each trace recorded and
sent, and Prometheus asks every 15 s. Counting itself cannot be turned off; what it takes is the
number of things that a turn counts, by what counting one costs here, and is put on top.
"""

import os
import re
import tempfile
import time
import timeit
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.cold_start import server_environment
from benchmarks.live_sync import turn
from benchmarks.paired import LEAST, Cost, cost
from benchmarks.proxy_bars import Line
from benchmarks.report import Report
from benchmarks.tracing import SCRIPT, sink
from hakoiri.cli.demo.server_process import ServerProcess, free_port

BAR: Final = 0.03
TURNS: Final = 2
"""Of each server in a round; after each, both clocks are read."""

ROUNDS_OF_A_SAMPLE: Final = 3
"""So that the usual 20 samples are 60 rounds, some five minutes."""

LEAST_SAMPLES: Final = -(-LEAST // ROUNDS_OF_A_SAMPLE)
"""Of fewer rounds nothing could be told at the end."""

SCRAPE_EVERY_S: Final = 15.0
SETTLE_S: Final = 11.0
"""Spans are sent every 10 s."""

NS_PER_MS: Final = 1_000_000
OURS: Final = {
    "hakoiri.host": "server",
    "hakoiri.credential_proxy": "proxy",
    "hakoiri.docker_guard": "guard",
    "hakoiri.audit": "audit keeper",
    "hakoiri.audit.reader": "audit reader",
}
"""Our processes by the module that they run; others of the supervisor's are not counted."""

COUNTERS: Final = re.compile(r"_(total|count)$")
OF_AMOUNTS: Final = re.compile(r"bytes|seconds|tokens")
"""Counters that grow by more than one at a time."""


@dataclass
class Side:
    """A server, a conversation that lives, and its processes."""

    server: ServerProcess
    conversation: str
    pids: dict[int, str]
    before: dict[str, int] = field(default_factory=dict)

    def lap(self) -> dict[str, float]:
        """Return the processors' time since the last lap in ms, by process."""
        now: dict[str, int] = {}
        for pid, name in self.pids.items():
            now[name] = now.get(name, 0) + processor_ns(pid)
        since = {name: (now[name] - self.before.get(name, 0)) / NS_PER_MS for name in now}
        self.before = now
        return since

    def box_ms(self) -> float:
        """Return what the box's processes have used since it was started, in ms."""
        path = f"/v1/conversations/{self.conversation}/workspace/usage"
        seconds: float = self.server.api.call("GET", path)["cpu_seconds"]
        return seconds * 1000


def measure(samples: int, *, say: Callable[[str], None]) -> Report:
    """Run turns on both sides at once, `samples` times three rounds of two."""
    rounds = samples * ROUNDS_OF_A_SAMPLE
    report = Report("Being seen, off and on", baseline="off: all, a turn")
    with ExitStack() as stack:
        collector = stack.enter_context(sink())
        off = _side(stack, {"HAKOIRI_AUDIT__ENABLED": "false"})
        on = _side(stack, {"HAKOIRI_TRACING__ENDPOINT": f"http://127.0.0.1:{collector}"})
        threads = stack.enter_context(ThreadPoolExecutor(2))
        counted_before = _counted(on.server)
        scraped_s = time.monotonic()
        box_ms = off.box_ms()
        off.lap()
        on.lap()
        for number in range(rounds):
            if number % 10 == 0:
                say(f"round {number + 1} of {rounds}")
            for done in [threads.submit(_turns, side) for side in (off, on)]:
                done.result()
            if time.monotonic() - scraped_s >= SCRAPE_EVERY_S:
                scraped_s = time.monotonic()
                on.server.api.download("/metrics")
            if number == rounds - 1:
                time.sleep(SETTLE_S)
            for name, side in (("off", off), ("on", on)):
                _keep(report, name, side.lap())
        turns = rounds * TURNS
        box_ms = (off.box_ms() - box_ms) / turns
        things = (_counted(on.server) - counted_before) / turns
    _judge(report, things, box_ms)
    return report


def processor_ns(pid: int) -> int:
    """Return what all threads of a process have used, ended ones too.

    Source: `clock_getcpuclockid(3)`; the kernel's clock id of another process
    (`include/linux/posix-timers.h`, CPUCLOCK_SCHED of the whole group).
    """
    return time.clock_gettime_ns((~pid << 3) | 2)


def _side(stack: ExitStack, settings: dict[str, str]) -> Side:
    root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hakoiri-bench-")))
    root.chmod(0o755)  # the server runs as a user of its own
    script = root / "script.yaml"
    script.write_text(SCRIPT, encoding="utf-8")
    environment = server_environment(root, free_port()) | settings
    environment["HAKOIRI_MODEL__REHEARSAL_SCRIPT"] = str(script)
    if host := os.environ.get("HAKOIRI_DOCKER_HOST"):
        environment["HAKOIRI_DOCKER_HOST"] = host
    server = stack.enter_context(ServerProcess(environment=environment, log=root / "server.log"))
    conversation: str = server.api.call("POST", "/v1/conversations", {})["id"]
    side = Side(server, conversation, {})
    for _ in range(TURNS):  # what is loaded at the first turn is not the cost of the others
        _turns(side)
    side.pids = _processes(server.pid)
    return side


def _turns(side: Side) -> None:
    for _ in range(TURNS):
        turn(side.server, side.conversation, "work")


def _processes(pid: int) -> dict[int, str]:
    """Return our processes below one, by what they are."""
    found: dict[int, str] = {}
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    for child in map(int, children):
        words = Path(f"/proc/{child}/cmdline").read_text(encoding="utf-8").split("\0")
        module = words[words.index("-m") + 1] if "-m" in words else ""
        if module in OURS:
            found[child] = OURS[module]
        found |= _processes(child)
    return found


def _counted(server: ServerProcess) -> float:
    """Return how many things server and proxy have counted so far."""
    page = server.api.download("/metrics").decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if (COUNTERS.search(sample.name) and not OF_AMOUNTS.search(sample.name.rsplit("_", 1)[0]))
        or sample.name.endswith("_seconds_count")
    )


def _counting_ms() -> float:
    """Return what one thing takes to be counted: the mean of a counter's and a histogram's."""
    registry = CollectorRegistry()
    counter = Counter("things", "t", ["kind"], registry=registry)
    histogram = Histogram("time_seconds", "t", ["kind"], registry=registry)
    number = 20_000
    took_s = timeit.timeit(lambda: counter.labels("a").inc(), number=number)
    took_s += timeit.timeit(lambda: histogram.labels("a").observe(0.5), number=number)
    return took_s / (2 * number) * 1000


def _keep(report: Report, name: str, lap: dict[str, float]) -> None:
    for process, took_ms in lap.items():
        report.add(f"{name}: {process}, a turn", took_ms / TURNS)
    report.add(f"{name}: all, a turn", sum(lap.values()) / TURNS)


def _judge(report: Report, things: float, box_ms: float) -> None:
    off, on = (report.samples_ms[f"{name}: all, a turn"] for name in ("off", "on"))
    counting_ms = things * _counting_ms()
    on = [one + counting_ms for one in on]
    report.samples_ms = dict(sorted(report.samples_ms.items()))
    report.notes["counting"] = f"{things:.0f} things a turn, {counting_ms:.3f} ms, in the cost"
    report.notes["the box"] = f"{box_ms:.0f} ms a turn"
    whole = cost([one + box_ms for one in off], [one + box_ms for one in on])
    report.lines.append(_line("of a turn's processor time", whole, bar=BAR))
    report.lines.append(_line("of our own processes' part of it", cost(off, on)))


def _line(of_what: str, found: Cost, *, bar: float | None = None) -> Line:
    return Line(
        work=f"metrics, audit log and traces, {of_what}",
        bar=f"under {bar:.0%}" if bar is not None else "",
        ours=f"{found.share:+.1%} (95 %: {found.low:+.1%} to {found.high:+.1%})",
        best_peer="",
        ratio=None,
        is_met=found.meets(bar) if bar is not None else None,
    )
