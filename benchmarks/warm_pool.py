"""Claims of warm containers, with and without the agent's own process running ahead.

In each round, in turns: one conversation from a pool with the process ahead, one from a pool
without, each with a first message and a later one. Between two samples the pool is emptied and
filled again, so that each member is of the kind that is measured. How long a claim itself took is
read from the server's own histogram, whose sum grows by one claim between two looks.

`idle_pool` fills the pool with `IDLE_COUNT` containers without the process: the server's processor
time while they idle, and a burst of claims on them at once.
"""

import os
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from benchmarks import cold_start
from benchmarks.orchestrator_bars import IDLE_COUNT, IDLE_NOTE, IN_REFILL, MEMORY_NOTE, lines_of
from benchmarks.report import Report
from hakoiri.cli.demo.server_process import ServerProcess, free_port
from hakoiri.host.settings import DEFAULT_DOCKER_HOST
from hakoiri.wire.guard import engine_name

PATH = "/v1/pool"
WAIT_S = 600.0
IDLE_ROUNDS = 2
IDLE_WATCHED_S = 60.0
BURST = 50
REFILLED = 4
"""So many a pool wants whose one member is claimed while it refills."""

TICKS_S = os.sysconf("SC_CLK_TCK")
KINDS = {"ahead": True, "without": False}


@dataclass(frozen=True, slots=True)
class WarmSite:
    """A running server whose pool is set as a part of the benchmark needs it."""

    site: cold_start.Site

    def fill(self, count: int, *, preconnect: bool, at_once: int = 2) -> None:
        """Empty the pool, then fill it with `count` members of one kind."""
        self._set(0, preconnect=preconnect, at_once=at_once)
        self._until(lambda now: now["ready"] + now["starting"] + now["retiring"] == 0)
        self._set(count, preconnect=preconnect, at_once=at_once)
        self._until(lambda now: now["ready"] == count)

    def conversation(self, report: Report, kind: str) -> None:
        """Add a first and a later message of a conversation that got a warm container."""
        self.fill(1, preconnect=KINDS[kind])
        memory_mib = self._memory_mib(self._warm()[0])
        before_s = self._claim_seconds()
        api = self.site.server.api
        made = api.call("POST", "/v1/conversations", {})["id"]
        turns = Report("one conversation")
        self.site.turn(turns, made, "warm")
        report.add(f"{kind}: claim", (self._claim_seconds() - before_s) * 1000)
        self.site.turn(turns, made, "live")
        for start, name in (("warm", "first"), ("live", "later")):
            for event in ("turn_started", "first model request"):
                (sample,) = turns.samples_ms[f"{start}: message to {event}"]
                report.add(f"{kind}: {name} message to {event}", sample)
        most = max(memory_mib, float(report.notes.get(MEMORY_NOTE.format(kind), 0)))
        report.notes[MEMORY_NOTE.format(kind)] = f"{most:.1f}"
        self._end(made)

    def claim_in_refill(self, report: Report) -> None:
        """Add a claim of the one warm container of a pool that refills below its minimum."""
        self.fill(1, preconnect=False)
        self._set(REFILLED, preconnect=False, at_once=2, least=REFILLED)
        self._until(lambda now: now["starting"] > 0)
        before_s = self._claim_seconds()
        made = self.site.server.api.call("POST", "/v1/conversations", {})["id"]
        self.site.turn(Report("one conversation"), made, "warm")
        report.add(IN_REFILL, (self._claim_seconds() - before_s) * 1000)
        self._end(made)

    def _end(self, conversation: str) -> None:
        self._set(0, preconnect=False, at_once=1)
        self.site.server.api.call("DELETE", f"/v1/conversations/{conversation}")
        self.site.until_gone()

    def idle(self, report: Report, count: int) -> None:
        """Note the server's processor time while the full pool of `count` idles."""
        pid = self._server_pid()
        began, began_s = _cpu_ticks(pid), time.monotonic()
        time.sleep(IDLE_WATCHED_S)
        used_s = (_cpu_ticks(pid) - began) / TICKS_S
        share = used_s / (time.monotonic() - began_s)
        report.notes[IDLE_NOTE.format(count)] = f"{share:.2%}"

    def burst(self, report: Report, count: int) -> None:
        """Claim `count` at once; each must get a warm container of its own, and an answer."""
        api = self.site.server.api
        conversations = [api.call("POST", "/v1/conversations", {})["id"] for _ in range(count)]
        before_s = self._claim_seconds()
        containers: list[str] = []
        ends: list[str] = []

        def one(conversation: str) -> None:
            posted_s = time.time()
            for event in api.send(conversation, cold_start.TEXT):
                if event["type"] == "turn_started":
                    report.add("burst: message to turn_started", (time.time() - posted_s) * 1000)
                    containers.append(event["data"]["container"])
                    ends.append(event["data"]["start"])
                if event["type"] in ("result", "error"):
                    ends.append(event["type"])

        threads = [threading.Thread(target=one, args=(name,)) for name in conversations]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        mean_ms = (self._claim_seconds() - before_s) / count * 1000
        report.notes["burst"] = (
            f"{len(containers)} claims, {len(set(containers))} containers, {dict(Counter(ends))}, "
            f"mean claim {mean_ms:.0f} ms, load average then {os.getloadavg()[0]:.0f}"
        )
        check_burst(containers, ends, count)

    def _set(self, count: int, *, preconnect: bool, at_once: int, least: int = 0) -> None:
        body = {
            "runtimes": {"runc": {"min": least, "target": count, "max": count}},
            "max_age_s": 86_400,
            "refills_at_once": at_once,
            "preconnect": preconnect,
        }
        self.site.server.api.call("PUT", PATH, body)

    def _until(self, holds: Callable[[dict[str, Any]], bool]) -> None:
        deadline_s = time.monotonic() + WAIT_S
        while not holds(self.site.server.api.call("GET", PATH)["runtimes"]["runc"]):
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"the pool never got there:\n{self.site.server.log_tail()}")
            time.sleep(0.05)

    def _warm(self) -> list[str]:
        instance = (self.site.root / "data" / "instance").read_text(encoding="ascii").strip()
        return sorted(path.name for path in (self.site.root / "live" / instance).iterdir())

    def _memory_mib(self, container_id: str) -> float:
        shown = subprocess.run(
            [
                *("docker", "--host", self.site.engine_host, "stats", "--no-stream"),
                *("--format", "{{.MemUsage}}", engine_name(container_id)),
            ],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        return float(shown.partition("MiB")[0])

    def _claim_seconds(self) -> float:
        url = f"http://127.0.0.1:{self.site.server.port}/metrics"
        with urlopen(url, timeout=10) as answer:
            page = answer.read().decode()
        return next(
            sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == "hakoiri_claim_seconds_sum" and sample.labels == {"start": "warm"}
        )

    def _server_pid(self) -> int:
        for pid in _descendants(self.site.server.pid):
            if b"hakoiri.host" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return pid
        raise RuntimeError("the server's process is not there")


def check_burst(containers: Sequence[str], ends: Sequence[str], count: int) -> None:
    """Raise `RuntimeError` unless `count` containers were had, each once, warm, with a result."""
    wanted = Counter({"warm": count, "result": count})
    if Counter(ends) != wanted or len(containers) != count or len({*containers}) != count:
        raise RuntimeError(
            f"of {count} claims at once {len(containers)} got {len({*containers})} containers: "
            f"{dict(Counter(ends))}"
        )


def measure(samples: int, *, say: Callable[[str], None]) -> Report:
    """Measure claims and turns; the first round warms caches and is not counted."""
    report = Report("The warm pool")
    with serving(say) as warm:
        for kind in KINDS:
            warm.conversation(Report("warm-up"), kind)
        for number in range(samples):
            say(f"round {number + 1} of {samples}")
            for kind in KINDS if number % 2 else reversed(KINDS):
                warm.conversation(report, kind)
    report.samples_ms = dict(sorted(report.samples_ms.items()))
    report.lines = lines_of(report)
    return report


def measure_idle(samples: int, *, say: Callable[[str], None]) -> Report:
    """Measure a pool that idles, and a burst on it; it takes minutes, so twice at most."""
    report = Report(f"{IDLE_COUNT} warm containers")
    with serving(say) as warm:
        for number in range(min(samples, IDLE_ROUNDS)):
            say(f"round {number + 1}: filling the pool with {IDLE_COUNT}")
            warm.fill(IDLE_COUNT, preconnect=False)
            warm.idle(report, IDLE_COUNT)
            say(f"{BURST} claims at once")
            warm.burst(report, BURST)
    report.lines = lines_of(report)
    return report


@contextmanager
def serving(say: Callable[[str], None]) -> Iterator[WarmSite]:
    """Start a server with room for all that is measured, its pool empty."""
    engine_host = os.environ.get("HAKOIRI_DOCKER_HOST", DEFAULT_DOCKER_HOST)
    rehearsal_port = free_port()
    with tempfile.TemporaryDirectory(prefix="hakoiri-bench-") as name:
        root = Path(name)
        root.chmod(0o755)
        limit = {
            "HAKOIRI_CONTAINER__LIMIT": str(IDLE_COUNT + BURST + 4),
            "HAKOIRI_CONTAINER__PIDS": "256",  # or a host with few process ids bears fewer
            "HAKOIRI_ADMISSION__MEMORY_OVERCOMMIT": "16",
        }
        server = ServerProcess(
            environment=cold_start.server_environment(root, rehearsal_port) | limit,
            log=root / "server.log",
        )
        say("starting a server with the rehearsal model")
        with server:
            yield WarmSite(cold_start.Site(root, server, rehearsal_port, engine_host))


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])  # proc(5): utime and stime


def _descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [found for child in children for found in [int(child), *_descendants(int(child))]]
