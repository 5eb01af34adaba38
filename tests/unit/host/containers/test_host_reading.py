"""What the kernel's files say, whatever is in them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hakoiri.host.containers.host_reading import (
    FILES,
    MEMINFO,
    PID_MAX,
    PRESSURE,
    THREADS_MAX,
    HostReading,
    parse_meminfo,
    parse_pressure,
    read_host,
)

GIB = 1024**3
PLAIN = {
    MEMINFO: "MemTotal:        8388608 kB\nMemFree: 1 kB\nMemAvailable:    4194304 kB\n",
    PRESSURE: "some avg10=1.25 avg60=0.00 avg300=0.00 total=1080654\n"
    "full avg10=99.00 avg60=0.00 avg300=0.00 total=1\n",
    PID_MAX: "32768\n",
    THREADS_MAX: "63704\n",
}
V1 = "/sys/fs/cgroup/memory/memory."
V2 = "/sys/fs/cgroup/memory."


def test_a_plain_host() -> None:
    assert read_host(PLAIN) == HostReading(8 * GIB, 4 * GIB, 1.25, 32768)


def test_what_is_not_there_is_not_told() -> None:
    assert read_host({}) == HostReading()
    assert read_host({MEMINFO: PLAIN[MEMINFO]}) == HostReading(8 * GIB, 4 * GIB)


@pytest.mark.parametrize(
    "group",
    [
        {f"{V2}max": f"{4 * GIB}\n", f"{V2}current": f"{3 * GIB}\n"}
        | {f"{V2}stat": f"anon 1\ninactive_file {GIB}\n"},
        {f"{V1}limit_in_bytes": f"{4 * GIB}\n", f"{V1}usage_in_bytes": f"{3 * GIB}\n"}
        | {f"{V1}stat": f"inactive_file 0\ntotal_inactive_file {GIB}\n"},
    ],
)
def test_the_group_at_the_top_bounds_memory_and_its_cache_counts_as_available(
    group: dict[str, str],
) -> None:
    told = read_host(PLAIN | group)
    assert (told.memory_bytes, told.available_bytes) == (4 * GIB, 2 * GIB)


@pytest.mark.parametrize("limit", ["max\n", "9223372036854771712\n", "", "-1\n"])
def test_a_group_without_a_limit_bounds_nothing(limit: str) -> None:
    told = read_host(PLAIN | {f"{V2}max": limit, f"{V1}limit_in_bytes": limit})
    assert told == read_host(PLAIN)


@pytest.mark.parametrize("path", ["/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"])
def test_the_smallest_number_of_ids_counts(path: str) -> None:
    assert read_host(PLAIN | {path: "1000\n"}).pids == 1000
    assert read_host(PLAIN | {path: "max\n"}).pids == 32768


@pytest.mark.parametrize(
    ("text", "percent"),
    [
        ("", None),
        ("full avg10=3.00 avg60=0.00\n", None),
        ("some avg10=nan avg60=0\n", None),
        ("some avg10=-1.00 avg60=0\n", None),
        ("some avg10=0.00 avg60=9\n", 0.0),
        ("full avg10=1.00 avg60=0\nsome avg10=55.50 avg60=0\n", 55.5),
        ("some avg10=999.00 avg60=0\n", 100.0),
    ],
)
def test_pressure_is_the_share_of_time_in_which_some_wait(text: str, percent: float | None) -> None:
    assert parse_pressure(text) == percent


@example({"/proc/sys/kernel/pid_max": "0\x1f"})
@given(st.dictionaries(st.sampled_from(FILES), st.text() | st.from_regex(r"[0-9a-z =.\n:-]*")))
def test_nothing_in_a_file_breaks_the_reading(texts: dict[str, str]) -> None:
    told = read_host(texts)
    assert told.pressure_percent is None or 0 <= told.pressure_percent <= 100
    for number in (told.memory_bytes, told.available_bytes, told.pids):
        assert number is None or number >= 0


@given(st.text())
def test_lines_of_another_form_are_passed_over(junk: str) -> None:
    assert parse_meminfo(f"{junk}\nMemTotal: 7 kB\n")["MemTotal"] == 7 * 1024
