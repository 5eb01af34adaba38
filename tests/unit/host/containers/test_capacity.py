"""How many containers the host bears, and the levels of a shortage of memory."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.containers.capacity import (
    PIDS_RESERVE,
    Bound,
    Capacity,
    Level,
    Need,
    Shortage,
    Threshold,
    Thresholds,
    capacity_of,
)
from hakoiri.host.containers.host_reading import HostReading

MIB = 1024**2
NEED = Need(memory_bytes=256 * MIB, reserve_bytes=512 * MIB, pids=512)
THRESHOLDS = Thresholds(
    {
        Level.HOLD: Threshold(10, 15),
        Level.DRAIN: Threshold(20, 10),
        Level.WAIT: Threshold(40, 5),
    },
    pressure_below=30,
)
CALM_S = 15.0
CALM = HostReading(1000, 900, 0.0, None)


@pytest.mark.parametrize(
    ("host", "taken", "capacity"),
    [
        (HostReading(), 0, Capacity(32, Bound.CONFIGURED)),
        (HostReading(memory_bytes=64 * 1024 * MIB), 0, Capacity(32, Bound.CONFIGURED)),
        (HostReading(memory_bytes=4096 * MIB), 0, Capacity(14, Bound.MEMORY)),
        (HostReading(memory_bytes=600 * MIB), 0, Capacity(1, Bound.MEMORY)),
        (HostReading(pids=PIDS_RESERVE + 5 * 512), 0, Capacity(5, Bound.PIDS)),
        (HostReading(pids=100), 0, Capacity(1, Bound.PIDS)),
        (HostReading(available_bytes=1024 * MIB), 3, Capacity(5, Bound.AVAILABLE)),
        (HostReading(available_bytes=100 * MIB), 3, Capacity(3, Bound.AVAILABLE)),
    ],
)
def test_the_smallest_bound_counts(host: HostReading, taken: int, capacity: Capacity) -> None:
    assert capacity_of(host, configured=32, need=NEED, taken=taken) == capacity


@given(
    st.builds(
        HostReading,
        memory_bytes=st.none() | st.integers(0, 2**50),
        available_bytes=st.none() | st.integers(0, 2**50),
        pids=st.none() | st.integers(0, 2**22),
    ),
    st.integers(1, 10_000),
    st.integers(0, 10_000),
)
def test_no_bound_is_passed(host: HostReading, configured: int, taken: int) -> None:
    slots = capacity_of(host, configured=configured, need=NEED, taken=taken).slots
    assert 0 <= slots <= configured
    if host.pids is not None and slots > 1:
        assert slots * NEED.pids + PIDS_RESERVE <= host.pids
    if host.available_bytes is not None and slots > taken:
        assert (slots - taken) * NEED.memory_bytes + NEED.reserve_bytes <= host.available_bytes


def after(shortage: Shortage, *readings: tuple[float, HostReading]) -> Shortage:
    for now_s, host in readings:
        shortage = shortage.after(host, THRESHOLDS, now_s=now_s, calm_s=CALM_S)
    return shortage


@pytest.mark.parametrize(
    ("host", "level"),
    [
        (HostReading(1000, 200, 9.9), Level.CALM),
        (HostReading(1000, 200, 10.0), Level.HOLD),
        (HostReading(1000, 200, 20.0), Level.DRAIN),
        (HostReading(1000, 200, 40.0), Level.WAIT),
        (HostReading(1000, 151, 0.0), Level.CALM),
        (HostReading(1000, 150, 0.0), Level.HOLD),
        (HostReading(1000, 100, 0.0), Level.DRAIN),
        (HostReading(1000, 50, 0.0), Level.WAIT),
        (HostReading(1000, 50, None), Level.WAIT),
        (HostReading(None, None, 25.0), Level.DRAIN),
        (HostReading(), Level.CALM),
    ],
)
def test_pressure_or_want_of_memory_makes_a_level(host: HostReading, level: Level) -> None:
    assert after(Shortage(), (0, host)).level is level


def test_a_box_at_its_own_limit_holds_nobody_back_while_memory_is_there() -> None:
    assert after(Shortage(), (0, HostReading(1000, 300, 100.0))).level is Level.CALM
    assert after(Shortage(), (0, HostReading(1000, 299, 100.0))).level is Level.WAIT
    assert after(Shortage(), (0, HostReading(None, None, 100.0))).level is Level.WAIT


def test_it_rises_at_once_and_falls_a_level_at_a_time_after_calm() -> None:
    short = after(Shortage(), (0, HostReading(1000, 200, 50.0)))
    assert short.level is Level.WAIT
    short = after(short, (1, CALM), (15.9, CALM))
    assert short.level is Level.WAIT
    assert after(short, (16, CALM)).level is Level.DRAIN
    assert after(short, (16, CALM), (30.9, CALM)).level is Level.DRAIN
    assert after(short, (16, CALM), (31, CALM)).level is Level.HOLD
    assert after(short, (16, CALM), (31, CALM), (46, CALM)).level is Level.CALM


def test_near_its_threshold_a_level_stays_and_calm_begins_anew() -> None:
    short = after(Shortage(), (0, HostReading(1000, 200, 10.0)))
    near = HostReading(1000, 250, 8.0)
    assert after(short, *((float(n), near) for n in range(100))).level is Level.HOLD
    once = after(short, (1, CALM), (10, near), (11, CALM), (25.9, CALM))
    assert once.level is Level.HOLD
    assert after(once, (26, CALM)).level is Level.CALM


PERCENT = st.floats(0, 100, allow_nan=False)


@given(st.lists(st.tuples(PERCENT, st.integers(0, 1000)), max_size=40))
def test_a_level_is_never_below_what_the_host_says_now(
    readings: Sequence[tuple[float, int]],
) -> None:
    shortage = Shortage()
    for now_s, (pressure, available) in enumerate(readings):
        before = shortage.level
        host = HostReading(1000, available, pressure)
        shortage = after(shortage, (float(now_s), host))
        assert shortage.level >= after(Shortage(), (0, host)).level
        assert shortage.level >= before - 1
