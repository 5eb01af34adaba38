"""The limits of a container in a kernel with cgroup v2: set, and holding."""

from collections.abc import Mapping, Sequence

import pytest
from tests.guest.judgement import Record, numbers_of, of_kind
from tests.guest.trials import BOUNDED

pytestmark = [pytest.mark.guest, pytest.mark.engine, pytest.mark.root, pytest.mark.timeout(3600)]

KILLED = 137
USUAL_WEIGHT = 100
"""What a service of the host has (cgroup-v2, `cpu.weight`)."""

MOST_WEIGHT = 20
"""runc makes 5 of 128 shares, from 1.3.2 on 20."""


def program(records: Sequence[Record], trial: str, name: str) -> Record:
    (found,) = (
        one
        for one in records
        if one["kind"] == "program" and (one["trial"], one["name"]) == (trial, name)
    )
    return found


def group(records: Sequence[Record], trial: str, kind: str) -> Mapping[str, str]:
    found: Mapping[str, str] = of_kind(records, kind, trial)["group"]
    return found


def test_the_kernel_has_the_limits_that_were_asked_for(records: Sequence[Record]) -> None:
    limits = group(records, "bounded", "container")
    assert int(limits["memory.max"]) == BOUNDED.memory_mib * 1024 * 1024
    assert int(limits["memory.swap.max"]) == 0
    assert int(limits["pids.max"]) == BOUNDED.pids
    assert limits["cpu.max"].split() == ["100000", "100000"]


def test_a_busy_processor_goes_to_who_serves_a_container_first(records: Sequence[Record]) -> None:
    weight = int(group(records, "bounded", "container")["cpu.weight"])
    assert weight <= MOST_WEIGHT
    assert int(group(records, "unbounded", "container")["cpu.weight"]) == USUAL_WEIGHT


def test_a_program_that_takes_more_memory_is_killed_and_the_container_lives(
    records: Sequence[Record],
) -> None:
    assert program(records, "bounded", "memory")["code"] == KILLED
    assert numbers_of(group(records, "bounded", "end of container")["memory.events"])["oom_kill"]
    assert of_kind(records, "end of container", "bounded")["running"]
    # with swap it would have held all of it: it is the limit that kills
    control = program(records, "unbounded", "memory")
    assert (control["code"], control["out"]) == (0, "held it all\n")


def test_a_fork_bomb_ends_at_the_limit(records: Sequence[Record]) -> None:
    forked, error = map(int, program(records, "bounded", "processes")["out"].split())
    assert 0 < forked < BOUNDED.pids
    assert error == 11  # EAGAIN
    assert numbers_of(group(records, "bounded", "end of container")["pids.events"])["max"] > 0
    assert program(records, "unbounded", "processes")["out"] == "200 0\n"


def test_a_busy_loop_is_held_back(records: Sequence[Record]) -> None:
    assert program(records, "bounded", "processor")["code"] == 0
    assert numbers_of(group(records, "bounded", "end of container")["cpu.stat"])["nr_throttled"] > 0
    unbounded = numbers_of(group(records, "unbounded", "end of container")["cpu.stat"])
    assert unbounded.get("nr_throttled", 0) == 0
