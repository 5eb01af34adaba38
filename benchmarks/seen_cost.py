"""What it costs to be seen: a turn with metrics, audit log and traces, and one without.

Servers that differ in nothing else run the same turns at the same time, each in a live box, so that
what else the machine does is felt by all: one with none of it, one with an audit log, one with that
and every trace recorded and sent. They are started anew for each block of rounds, since two
processes that do the same differ by a per cent or two for as long as they live.

Counted is the processors' time by the kernel's clocks: of our own processes (server, proxy, guard,
the audit log's keeper and reader), and of the box; not of the model, which a script stands in for.

Figures are looked at by time, as Prometheus does: what one look takes is measured by itself, and a
turn bears as much of it as it is long. Counting cannot be turned off; what it takes is the number
of things that a turn counts, by what counting one costs here. Spans are sent by time, too, and are
among what the turns cost. So all of it is the cost of a server that does one turn after the other;
it costs a turn the less the more of them run.
"""

import re
import statistics
import time
import timeit
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.paired import Cost, Pair, cost
from benchmarks.proxy_bars import Line
from benchmarks.report import Report
from benchmarks.seen_sides import Side, sides
from benchmarks.tracing import sink
from hakoiri.cli.demo.server_process import ServerProcess

BAR: Final = 0.03
OFF, AUDIT, ON = "off", "audit log", "all"
BLOCKS: Final = 6
"""Of servers of their own."""

TURNS: Final = 2
"""Of each server in a round; after each, all clocks are read."""

ROUNDS_OF_A_SAMPLE: Final = 2
"""In each block: the usual 20 samples are 240 rounds, eight minutes on a quiet machine."""

BLOCK_LIMIT_S: Final = 75.0
"""Then a block has as many rounds as it has: on a busy machine."""

LIMIT_S: Final = 540.0
"""Then no further block is begun."""

PAGES: Final = ("/metrics", "/metrics/workspaces")
SCRAPE_EVERY_S: Final = 15.0
"""Pages and time as in `deployment/monitoring/prometheus/prometheus.yml`."""

SCRAPES: Final = 5
SETTLE_S: Final = 11.0
"""Spans are sent every 10 s."""

UNTOLD: Final = "cannot be told: take more samples, or a quieter machine"
COUNTERS: Final = re.compile(r"_(total|count)$")
OF_AMOUNTS: Final = re.compile(r"bytes|seconds|tokens")
"""Counters that grow by more than one at a time."""


@dataclass(slots=True)
class Block:
    """What the same servers took; processors' times in ms a turn, by side, of each round."""

    took_ms: dict[str, list[float]] = field(default_factory=dict)
    turn_s: list[float] = field(default_factory=list)
    box_ms: float = 0
    scrape_ms: float = 0
    counting_ms: float = 0

    @property
    def figures_ms(self) -> float:
        """What the figures cost a turn: the things counted, and its part of the looks at them."""
        looks = statistics.fmean(self.turn_s) / SCRAPE_EVERY_S
        return self.counting_ms + looks * self.scrape_ms


def measure(samples: int, *, say: Callable[[str], None]) -> Report:
    """Run rounds of turns on all sides at once, in blocks."""
    report = Report("Being seen, off and on", baseline=f"{OFF}: all processes, a turn")
    blocks: list[Block] = []
    counting_ms, began_s = _counting_ms(), time.monotonic()
    with sink() as collector:
        untold = {"HAKOIRI_AUDIT__ENABLED": "false"}
        traced = {"HAKOIRI_TRACING__ENDPOINT": f"http://127.0.0.1:{collector}"}
        settings = {OFF: untold, AUDIT: {}, ON: traced}
        for number in range(BLOCKS):
            if time.monotonic() - began_s > LIMIT_S:
                break
            names = [*settings][number % len(settings) :] + [*settings][: number % len(settings)]
            with sides({name: settings[name] for name in names}) as begun:
                block = _block(begun, samples * ROUNDS_OF_A_SAMPLE, report, counting_ms)
            blocks.append(block)
            said = f"{len(block.turn_s)} rounds, a turn {statistics.fmean(block.turn_s):.2f} s"
            say(f"block {number + 1} of {BLOCKS}: {said}")
    report.samples_ms = dict(sorted(report.samples_ms.items()))
    report.notes = notes_of(blocks)
    report.lines = lines_of(blocks)
    return report


def _block(begun: dict[str, Side], rounds: int, report: Report, counting_ms: float) -> Block:
    block = Block()
    # what is loaded when spans are sent for the first time is not the cost of the others
    time.sleep(SETTLE_S)
    seen = begun[ON]
    block.scrape_ms = _scrape_ms(seen)
    things, box_ms = _counted(seen.server), begun[OFF].box_ms()
    for side in begun.values():
        side.lap()
    began_s = time.monotonic()
    with ThreadPoolExecutor(len(begun)) as threads:
        for number in range(rounds):
            round_s = time.monotonic()
            for done in [threads.submit(side.work, TURNS) for side in begun.values()]:
                done.result()
            block.turn_s.append((time.monotonic() - round_s) / TURNS)
            is_last = number == rounds - 1 or time.monotonic() - began_s > BLOCK_LIMIT_S
            if is_last:
                time.sleep(SETTLE_S)
            for name, side in begun.items():
                block.took_ms.setdefault(name, []).append(_kept(report, name, side.lap()))
            if is_last:
                break
    turns = len(block.turn_s) * TURNS
    block.box_ms = (begun[OFF].box_ms() - box_ms) / turns
    block.counting_ms = (_counted(seen.server) - things) / turns * counting_ms
    return block


def lines_of(blocks: Sequence[Block]) -> list[Line]:
    """Say what all of it costs, and each part; against the bar as a part of the whole turn."""
    audit = cost([_pairs(block, OFF, AUDIT) for block in blocks])
    traces = cost([_pairs(block, AUDIT, ON) for block in blocks])
    figures = cost([_pairs(block, OFF, OFF, more_ms=block.figures_ms) for block in blocks])
    both = [_pairs(block, OFF, ON, more_ms=block.figures_ms) for block in blocks]
    own = cost(
        [
            [(without - block.box_ms, more) for without, more in pairs]
            for block, pairs in zip(blocks, both, strict=True)
        ]
    )
    of_turn = "of a turn's processor time"
    return [
        _line(f"metrics, audit log and traces, {of_turn}", cost(both), bar=BAR),
        _line(f"of it metrics, {of_turn}", figures),
        _line(f"of it the audit log, {of_turn}", audit),
        _line(f"of it traces, {of_turn}", traces),
        _line("all of it, of our own processes' part of the turn", own),
    ]


def notes_of(blocks: Sequence[Block]) -> dict[str, str]:
    """Say how much was measured, and what the shares are shares of."""
    box_ms = statistics.fmean(block.box_ms for block in blocks)
    counting_ms = statistics.fmean(block.counting_ms for block in blocks)
    scrape_ms = statistics.fmean(block.scrape_ms for block in blocks)
    turn_s = statistics.fmean(one for block in blocks for one in block.turn_s)
    rounds = sum(len(block.turn_s) for block in blocks)
    return {
        "pairs": f"{rounds} of {TURNS} turns, in {len(blocks)} blocks",
        "a turn": f"took {turn_s:.2f} s beside the others'; its box used {box_ms:.0f} ms",
        "counting": f"{counting_ms:.2f} ms a turn",
        "a look at the figures": f"{scrape_ms:.1f} ms, every {SCRAPE_EVERY_S:.0f} s",
    }


def _pairs(block: Block, off: str, on: str, *, more_ms: float = 0) -> list[Pair]:
    """Pair a turn without anything, its box with it, with what `on` took more than `off`."""
    without = [took + block.box_ms for took in block.took_ms[OFF]]
    more = zip(block.took_ms[off], block.took_ms[on], strict=True)
    return [
        (all_ms, on_ms - off_ms + more_ms)
        for all_ms, (off_ms, on_ms) in zip(without, more, strict=True)
    ]


def _scrape_ms(side: Side) -> float:
    """Return what a look at the figures takes, of all processes."""
    took: list[float] = []
    for _ in range(SCRAPES):
        side.lap()
        for page in PAGES:
            side.server.api.download(page)
        took.append(sum(side.lap().values()))
    return statistics.median(took)


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
    took_s = timeit.timeit(
        lambda: counter.labels("a").inc(), number=number, timer=time.process_time
    )
    took_s += timeit.timeit(
        lambda: histogram.labels("a").observe(0.5), number=number, timer=time.process_time
    )
    return took_s / (2 * number) * 1000


def _kept(report: Report, name: str, lap: dict[str, float]) -> float:
    for process, took_ms in lap.items():
        report.add(f"{name}: {process}, a turn", took_ms / TURNS)
    all_ms = sum(lap.values()) / TURNS
    report.add(f"{name}: all processes, a turn", all_ms)
    return all_ms


def _line(work: str, found: Cost, *, bar: float | None = None) -> Line:
    is_met = found.meets(bar) if bar is not None else None
    return Line(
        work=work,
        bar=f"under {bar:.0%}" if bar is not None else "",
        ours=f"{found.share:+.2%} (95 %: {found.low:+.2%} to {found.high:+.2%})",
        best_peer=UNTOLD if bar is not None and is_met is None else "",
        ratio=None,
        is_met=is_met,
    )
