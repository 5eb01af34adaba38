import pytest
from benchmarks.orchestrator_bars import (
    BARS,
    COLD,
    DOCKER_RUN,
    IDLE_NOTE,
    IN_REFILL,
    MEMORY_NOTE,
    Bar,
    lines_of,
)
from benchmarks.proxy_bars import Line
from benchmarks.report import Report


def report(**notes: str) -> Report:
    return Report("some", notes=notes)


def sole(found: list[Line]) -> Line:
    (line,) = found
    return line


@pytest.mark.parametrize("bar", [one for one in BARS if one.p50_ms], ids=lambda one: one.work)
def test_each_bar_is_met_at_its_limit_and_missed_above(bar: Bar) -> None:
    assert bar.p50_ms is not None
    for time_ms, is_met in ((bar.p50_ms, True), (bar.p50_ms + 0.1, False)):
        one = report()
        one.add(bar.measure, time_ms)
        assert sole(lines_of(one)).is_met is is_met


def test_a_claim_that_is_slow_once_in_fifty_misses_its_p99() -> None:
    one = report()
    for number in range(50):
        one.add(IN_REFILL, 500.0 if number == 0 else 1.0)
    line = sole(lines_of(one))
    assert line.is_met is False
    assert line.ours.startswith("p50/95/99 1.0/1.0/")


@pytest.mark.parametrize(("cold_ms", "is_met"), [(300, True), (301, False)])
def test_a_cold_start_is_compared_with_a_docker_run(cold_ms: float, is_met: bool) -> None:  # noqa: FBT001 - parametrized
    one = report()
    one.add(DOCKER_RUN, 100.0)
    one.add(COLD, cold_ms)
    one.add("swe-rex: create", 900.0)
    line = sole(lines_of(one))
    assert (line.is_met, line.ratio) == (is_met, cold_ms / 100)
    assert line.best_peer == "docker run, to first output 100 ms; swe-rex 900 ms"


def test_a_command_is_shown_beside_the_quickest_of_all_that_ran() -> None:
    one = report()
    one.add("POST …/exec, connection kept", 5.0)
    one.add("docker exec", 80.0)
    one.add("llm-sandbox: command", 50.0)
    line = sole(lines_of(one))
    assert (line.ratio, line.best_peer) == (0.1, "docker exec 80 ms; llm-sandbox 50 ms")


def test_what_has_no_bar_is_neither_met_nor_missed() -> None:
    one = report()
    one.add("ours, warm: create", 10_000.0)
    assert sole(lines_of(one)).is_met is None


@pytest.mark.parametrize(
    ("note", "told", "is_met"),
    [
        (MEMORY_NOTE.format("without"), "60", True),
        (MEMORY_NOTE.format("without"), "60.1", False),
        (IDLE_NOTE.format(60), "2.00%", True),
        (IDLE_NOTE.format(60), "2.01%", False),
    ],
)
def test_what_is_no_time_has_its_limit_too(note: str, told: str, is_met: bool) -> None:  # noqa: FBT001 - parametrized
    assert sole(lines_of(report(**{note: told}))).is_met is is_met


def test_a_pool_of_another_size_is_not_judged() -> None:
    assert lines_of(report(**{IDLE_NOTE.format(4): "9.00%"})) == []
