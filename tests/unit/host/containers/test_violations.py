import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.container_settings import ContainerSettings
from hakoiri.host.containers.box import read_profile
from hakoiri.host.containers.violations import (
    CALL_NAMES,
    ReportBound,
    Violation,
    container_in,
    parse_record,
)

ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4


def record(
    *, prefix: str = "5,1234,9876543,-;", pid: int = 4321, comm: str = '"python3"', call: int = 165
) -> bytes:
    return (
        f"{prefix}audit: type=1326 audit(1795729258.477:163): auid=4294967295 uid=1000 gid=1000 "
        f'ses=4294967295 pid={pid} comm={comm} exe="/usr/bin/python3.11" sig=31 arch=c000003e '
        f"syscall={call} compat=0 ip=0x7fd87af70829 code=0x80000000\n"
    ).encode()


def test_a_record_of_a_killed_process_is_a_violation() -> None:
    assert parse_record(record()) == Violation(pid=4321, call=165, architecture="c000003e")
    labelled = record().replace(b"ses=4294967295 ", b"ses=1 subj=docker-default (enforce) ")
    assert parse_record(labelled) == Violation(pid=4321, call=165, architecture="c000003e")


@pytest.mark.parametrize(
    "other",
    [
        b"",
        b"6,1,2,-;usb 1-1: new device",
        b"6,1,2,-;audit: type=1400 audit(1.0:1): pid=1",
        # a process wrote this: its facility is not the kernel's
        record(prefix="13,1234,9876543,-;"),
        # continued lines of another record
        b" SUBSYSTEM=acpi\n" + record(),
        record()[:80],
        record(comm="x pid=1"),
    ],
)
def test_nothing_else_is(other: bytes) -> None:
    assert parse_record(other) is None


def test_a_program_cannot_name_itself_into_another_field() -> None:
    name = b'a" exe="/x" sig=0 arch=0 syscall=1 '.hex().upper()
    assert parse_record(record(comm=name)) == Violation(pid=4321, call=165, architecture="c000003e")


@given(
    st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), st.text(st.characters(max_codepoint=255))
)
def test_whatever_the_programs_name_pid_and_call_are_the_kernels(
    pid: int, call: int, name: str
) -> None:
    raw = name.encode("latin-1")
    plain = all(0x21 <= byte <= 0x7E and byte != 0x22 for byte in raw)
    comm = f'"{name}"' if plain else raw.hex().upper()
    assert parse_record(record(pid=pid, call=call, comm=comm)) == Violation(
        pid=pid, call=call, architecture="c000003e"
    )


@given(st.binary(max_size=9000))
def test_no_bytes_end_in_an_error(noise: bytes) -> None:
    parse_record(noise)
    parse_record(b"5,1,2,-;audit: type=1326 audit(1.0:1): " + noise)


@pytest.mark.parametrize(
    "cgroups",
    [
        f"12:pids:/docker/{ID}\n11:memory:/docker/{ID}\n0::/\n",
        f"0::/system.slice/docker-{ID}.scope\n",
        f"1:name=systemd:/docker/{ID}/inner\n",
        f"0::/system.slice/docker-{ID}.scope/deeper\n",
    ],
)
def test_a_process_is_in_the_container_that_its_groups_name(cgroups: str) -> None:
    assert container_in(cgroups) == ID


@pytest.mark.parametrize(
    "cgroups",
    [
        "",
        "0::/user.slice\n",
        # an exiting process under cgroup v1
        "12:pids:/\n0::/\n",
        f"1:pids:/docker/{ID}\n2:memory:/docker/{OTHER}\n",
        f"0::/docker/{ID[:-1]}\n",
        f"0::/docker/{ID}f\n",
    ],
)
def test_what_names_none_or_two_is_unclear(cgroups: str) -> None:
    assert container_in(cgroups) is None


def test_reports_are_bounded_and_what_is_held_back_is_told_later() -> None:
    bound = ReportBound(per_minute=2)
    assert [bound.admit(now_s) for now_s in (0, 1, 2, 59)] == [0, 0, None, None]
    assert bound.admit(60) == 2
    assert bound.admit(60.5) is None
    assert bound.admit(61) == 1


def test_the_calls_that_the_profile_kills_for_have_names_on_both_machines() -> None:
    killing = {
        name
        for rule in read_profile(ContainerSettings()).syscalls
        if rule.action == "SCMP_ACT_KILL_PROCESS"
        for name in rule.names
    }
    assert set(CALL_NAMES["c000003e"].values()) == killing
    assert set(CALL_NAMES["c00000b7"].values()) == killing - {"create_module"}
    assert Violation(pid=1, call=165, architecture="c000003e").call_name == "mount"
    assert Violation(pid=1, call=20, architecture="40000003").call_name == "40000003:20"


@given(st.lists(st.floats(0, 10_000), max_size=200))
def test_no_minute_sees_more_reports_than_the_bound_and_none_is_lost(times: list[float]) -> None:
    bound = ReportBound(per_minute=3)
    let_through: list[float] = []
    told = 0
    for now_s in sorted(times):
        held_back = bound.admit(now_s)
        if held_back is not None:
            let_through.append(now_s)
            told += held_back
    for start_s in let_through:
        assert sum(start_s <= one < start_s + 60 for one in let_through) <= 3
    assert len(let_through) + told <= len(times)
    last = bound.admit(20_000)
    assert last is not None
    assert len(let_through) + told + last == len(times)
