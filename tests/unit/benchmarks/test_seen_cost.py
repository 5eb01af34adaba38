import os
import time

from benchmarks.paired import Cost
from benchmarks.report import Report
from benchmarks.seen_cost import BAR, _judge, _line, processor_ns


def test_the_kernels_clock_of_a_process_is_its_own() -> None:
    before_ns = time.process_time_ns()
    told_ns = processor_ns(os.getpid())
    assert before_ns <= told_ns <= time.process_time_ns()


def test_a_bar_that_cannot_be_told_is_not_met() -> None:
    assert _line("", Cost(0.01, 0.0, BAR / 2), bar=BAR).is_met is True
    assert _line("", Cost(0.03, 0.01, 0.05), bar=BAR).is_met is None
    assert _line("", Cost(0.09, 0.06, 0.1), bar=BAR).is_met is False


def judged(things: float, box_ms: float) -> tuple[str, str]:
    names = ("off: all, a turn", "on: all, a turn")
    report = Report("r", samples_ms={name: [10.0] * 9 for name in names})
    _judge(report, things, box_ms)
    whole, own = report.lines
    return whole.ours.split()[0], own.ours.split()[0]


def test_counting_is_part_of_the_cost() -> None:
    assert judged(0, 0) == ("+0.0%", "+0.0%")
    assert "+0.0%" not in judged(5000, 0)


def test_the_boxs_time_is_part_of_the_turns_and_not_of_our_own() -> None:
    whole, own = judged(5000, 10_000)
    assert float(whole.rstrip("%")) < float(own.rstrip("%")) / 10
