import os
import time

from benchmarks.seen_sides import Side, processor_ns

from hakoiri.cli.demo.server_process import ServerProcess


def test_the_kernels_clock_of_a_process_is_its_own() -> None:
    before_ns = time.process_time_ns()
    told_ns = processor_ns(os.getpid())
    assert before_ns <= told_ns <= time.process_time_ns()


def test_a_lap_is_what_was_used_since_the_last_and_processes_of_a_name_are_added() -> None:
    side = Side(ServerProcess.__new__(ServerProcess), "c", {os.getpid(): "proxy"})
    side.lap()
    before_ms = time.process_time() * 1000
    sum(range(200_000))
    used_ms = time.process_time() * 1000 - before_ms
    assert side.lap()["proxy"] >= used_ms
    twice = Side(side.server, "c", {os.getpid(): "proxy", os.getppid(): "proxy"})
    assert list(twice.lap()) == ["proxy"]
