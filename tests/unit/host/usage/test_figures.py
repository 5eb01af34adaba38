import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.usage.figures import (
    CgroupFigures,
    CgroupFormError,
    Usage,
    cores_between,
    near_limit,
    parse_v1,
    parse_v2,
    quantiles_of,
)

V1 = {
    "cpu": "1500000000\n",
    "memory": "5000\n",
    "memory_limit": "10000\n",
    "memory_stat": "inactive_file 1\ntotal_inactive_file 1000\n",
    "oom": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "pids": "7\n",
    "pids_limit": "64\n",
}
V2 = {
    "cpu": "usage_usec 1500000\nuser_usec 1\n",
    "memory": "5000\n",
    "memory_limit": "10000\n",
    "memory_stat": "anon 4000\ninactive_file 1000\n",
    "oom": "low 0\noom 3\noom_kill 2\n",
    "pids": "7\n",
    "pids_limit": "64\n",
}


def test_both_versions_of_the_kernels_files_say_the_same() -> None:
    expected = CgroupFigures(
        cpu_seconds=1.5,
        memory_bytes=4000,
        memory_limit_bytes=10_000,
        pids=7,
        pids_limit=64,
        oom_kills=2,
    )
    assert parse_v1(V1) == expected
    assert parse_v2(V2) == expected


def test_no_limit_is_none_in_either_form() -> None:
    assert parse_v1(V1 | {"memory_limit": "9223372036854771712\n"}).memory_limit_bytes is None
    assert parse_v2(V2 | {"memory_limit": "max\n", "pids_limit": "max\n"}).pids_limit is None


@pytest.mark.parametrize("name", ["cpu", "memory", "pids", "pids_limit"])
def test_what_is_no_number_is_refused(name: str) -> None:
    with pytest.raises(CgroupFormError):
        parse_v1(V1 | {name: "-5\n"})


def figures(cpu_seconds: float = 0, memory: int = 0, pids: int = 0) -> CgroupFigures:
    return CgroupFigures(cpu_seconds, memory, 100, pids, 100, 0)


def test_cores_are_what_was_used_between_two_looks() -> None:
    first = Usage("c1", figures(10), 100)
    assert cores_between(None, figures(10), at_s=100) is None
    assert cores_between(first, figures(15), at_s=110) == 0.5
    assert cores_between(first, figures(15), at_s=100) is None, "no time has passed"
    assert cores_between(first, figures(5), at_s=110) == 0, "it never runs backwards"


def test_who_is_over_nine_tenths_of_a_limit_is_near_it() -> None:
    used = [Usage("c1", figures(memory=90), 0), Usage("c2", figures(memory=91, pids=95), 0)]
    assert near_limit(used) == {"memory": 1, "pids": 1}
    free = Usage("c3", CgroupFigures(0, 10**12, None, 10**6, None, 0), 0)
    assert near_limit([free]) == {"memory": 0, "pids": 0}


@given(st.lists(st.floats(0, 1e9), min_size=1))
def test_quantiles_are_values_that_were_there_in_order(values: list[float]) -> None:
    found = quantiles_of(values)
    assert set(found) == {0.5, 0.9, 1.0}
    assert set(found.values()) <= set(values)
    assert found[0.5] <= found[0.9] <= found[1.0] == max(values)


def test_nothing_has_no_quantiles() -> None:
    assert quantiles_of([]) == {}
