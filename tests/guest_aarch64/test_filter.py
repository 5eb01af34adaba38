"""The filter on an aarch64 kernel: what it refuses, that nothing else did, what works."""

import json
from collections.abc import Mapping, Sequence

import pytest
from tests.guest.judgement import Record, of_kind
from tests.guest_aarch64.boxes import workloads
from tests.integration.host.containers import syscall_probe
from tests.seccomp import bpf
from tests.seccomp.bpf import SystemCall
from tests.seccomp.libseccomp import ARCHITECTURES, filter_of, number_of
from tests.seccomp.reading import reading_of

from hakoiri.host.container_settings import ContainerSettings
from hakoiri.host.containers.box import read_profile
from hakoiri.host.containers.violations import Violation, parse_record

pytestmark = [pytest.mark.guest, pytest.mark.root, pytest.mark.timeout(3600)]

PROFILE = read_profile(ContainerSettings())
SAYS = reading_of(PROFILE)
AARCH64, ARM = (f"{ARCHITECTURES[machine]:x}" for machine in ("aarch64", "arm"))
KILLED_BY_SIGSYS = 128 + 31
EPERM = 1
CALLS = {
    name: arguments for name, (_, number, arguments) in syscall_probe.CALLS.items() if number != -1
}
FORBIDDEN = sorted({*CALLS, *syscall_probe.SOCKETS})
FORBIDDEN_CALLS = {name for name in CALLS if " " not in name}

Answers = Mapping[str, int | str]


def answers(records: Sequence[Record], who: str) -> Answers:
    box = of_kind(records, "box", who)
    assert box["code"] == 0, box
    found: Answers = json.loads(box["out"])
    return found


def expected(name: str) -> int | str:
    """What the profile says to a call of the probe; an act that is told in words gives EPERM."""
    if " " in name:
        return EPERM
    said = SAYS(name, tuple(one if isinstance(one, int) else 0 for one in CALLS[name]))
    return "SIGSYS" if said == "killed" else said


def violations(records: Sequence[Record], box: str) -> list[Violation]:
    found = [parse_record(line.encode()) for line in of_kind(records, "box", box)["log"]]
    return [one for one in found if one is not None]


def test_the_guest_is_what_it_should_be(records: Sequence[Record]) -> None:
    (machine,) = (one for one in records if one["kind"] == "machine")
    assert machine["name"] == "aarch64"


def test_its_kernel_reads_every_call_as_it_is_read_here(
    records: Sequence[Record], asked: list[tuple[int, ...]]
) -> None:
    (told,) = (one for one in records if one["kind"] == "asked")
    assert told["code"] == 0, told
    program = bpf.read(filter_of(PROFILE, "aarch64"))
    here = [
        bpf.meaning(bpf.answer(program, SystemCall(one[0], ARCHITECTURES["aarch64"], one[1:])))
        for one in asked
    ]
    assert [bpf.unmarked(one) for one in json.loads(told["out"])] == here


def test_every_process_of_a_container_has_the_filter(records: Sequence[Record]) -> None:
    said = of_kind(records, "box", "condition")["out"].split()
    assert said == ["NoNewPrivs:", "1", "Seccomp:", "2"]


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_forbidden_call_is_refused_by_the_filter_and_by_nothing_else(
    records: Sequence[Record], name: str
) -> None:
    assert answers(records, "agent")[name] == expected(name)
    assert answers(records, "root")[name] == expected(name)
    assert answers(records, "bare")[name] != expected(name)


@pytest.mark.parametrize("name", sorted(syscall_probe.MADE))
def test_the_sockets_that_loopback_needs_can_be_made(records: Sequence[Record], name: str) -> None:
    assert answers(records, "agent")[name] == "through"


def test_the_kernel_records_each_killed_call_and_we_read_its_name(
    records: Sequence[Record],
) -> None:
    killed = {name for name in FORBIDDEN_CALLS if expected(name) == "SIGSYS"}
    for box in ("agent", "root"):
        seen = violations(records, box)
        assert {one.architecture for one in seen} == {AARCH64}
        assert sorted(one.call_name for one in seen) == sorted(killed)
        assert {one.call for one in seen} == {number_of(name, "aarch64") for name in killed}
    assert of_kind(records, "box", "bare")["log"] == []


def test_a_program_of_the_older_machines_is_killed_at_its_first_call(
    records: Sequence[Record],
) -> None:
    assert of_kind(records, "box", "of-32-bits")["code"] == KILLED_BY_SIGSYS
    (told,) = violations(records, "of-32-bits")
    assert (told.architecture, told.call) == (ARM, 20)
    assert of_kind(records, "box", "of-32-bits-bare")["code"] == 0


def test_a_whole_turn_of_the_agent_works_behind_the_filter(records: Sequence[Record]) -> None:
    done = of_kind(records, "box", "turn")
    assert done["code"] == 0, (done["out"], done["err"])
    assert done["out"].endswith("agent: all done\n")


@pytest.mark.parametrize("workload", workloads())
def test_honest_programs_work_behind_the_filter(records: Sequence[Record], workload: str) -> None:
    done = of_kind(records, "box", workload)
    assert done["code"] == 0, (done["out"], done["err"])
    assert done["out"].endswith(f"{workload}: all done\n")


def test_nothing_that_an_honest_program_does_kills_it(records: Sequence[Record]) -> None:
    (told,) = (one for one in records if one["kind"] == "records of all together")
    assert told["log"] == []
