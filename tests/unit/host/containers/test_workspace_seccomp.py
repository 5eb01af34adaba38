"""The profile that ships: what it must never let through, and what it must."""

import json
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from tests.seccomp.libseccomp import number_of
from tests.seccomp.moby_default import FACTS, MobyDefault
from tests.seccomp.reading import reading_of

from hakoiri.host.container_settings import ContainerSettings
from hakoiri.host.containers.box import read_profile
from hakoiri.host.containers.seccomp import Rule

ROOT = Path(__file__).parents[4]
TWO = ("x86_64", "aarch64")
PROFILE = read_profile(ContainerSettings())
SAYS = reading_of(PROFILE)
MEASURED = json.loads((ROOT / "deployment/seccomp/measured.json").read_text())

KILLED = {
    *("bpf", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module"),
    *("open_by_handle_at", "mount", "umount2", "pivot_root", "fsopen", "fsconfig", "fsmount"),
    *("fspick", "move_mount", "open_tree", "mount_setattr", "reboot", "swapon", "swapoff"),
}
REFUSED = {
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd", "perf_event_open"),
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp"),
    *("keyctl", "add_key", "request_key", "unshare", "setns", "name_to_handle_at"),
    *("fanotify_init", "syslog", "chroot", "acct", "quotactl", "iopl", "ioperm", "modify_ldt"),
    *("settimeofday", "clock_settime", "adjtimex", "sethostname", "setdomainname", "seccomp"),
    *("vmsplice", "memfd_secret", "lookup_dcookie", "process_madvise", "set_mempolicy"),
}
AS_IF_MISSING = {"clone3", "io_uring_setup", "io_uring_enter", "io_uring_register"}
CONDITIONAL = {"clone", "mknod", "mknodat", "personality", "socket", "socketpair"}
FALLEN_BACK_FROM = {"clone3", "pkey_alloc"}
"""Measured, and refused all the same: the callers take another way on ENOSYS."""


def rules_for(name: str) -> list[Rule]:
    return [rule for rule in PROFILE.syscalls if name in rule.names]


def is_let_through(name: str, *arguments: int) -> bool:
    return SAYS(name, arguments) == "through"


def test_what_ships_and_what_deployment_shows_is_one_file() -> None:
    shown = ROOT / "deployment/seccomp/workspace-seccomp.json"
    packed = ROOT / "src/hakoiri/host/containers/workspace-seccomp.json"
    assert shown.samefile(packed)


def test_it_refuses_what_it_does_not_name_on_two_architectures_and_no_other() -> None:
    assert PROFILE.defaultAction == "SCMP_ACT_ERRNO"
    assert PROFILE.architectures == ("SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64")
    assert {rule.action for rule in PROFILE.syscalls} == {
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_KILL_PROCESS",
    }


@pytest.mark.parametrize("name", sorted(KILLED))
def test_calls_of_no_honest_program_kill_the_process_so_that_they_are_recorded(name: str) -> None:
    assert [rule.action for rule in rules_for(name)] == ["SCMP_ACT_KILL_PROCESS"]


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_calls_that_open_the_box_are_refused_by_name(name: str) -> None:
    assert [rule.action for rule in rules_for(name)] == ["SCMP_ACT_ERRNO"]


def test_programs_fall_back_from_what_the_kernel_seems_not_to_have() -> None:
    for name in AS_IF_MISSING:
        assert [rule.errnoRet for rule in rules_for(name)] == [38]


def test_no_call_is_named_twice_but_for_other_arguments() -> None:
    counted = Counter(name for rule in PROFILE.syscalls for name in rule.names)
    assert {name for name, times in counted.items() if times > 1} == CONDITIONAL - {"clone"}
    assert set(PROFILE.conditions()) == CONDITIONAL
    assert len({(rule.names, rule.args) for rule in PROFILE.syscalls}) == len(PROFILE.syscalls)


def test_only_stream_and_datagram_sockets_of_three_families_can_be_made() -> None:
    flags = (0, 0o4000, 0o2000000)
    made = {
        (family, kind, protocol)
        for family, kind, protocol in product(range(64), range(16), range(300))
        if is_let_through("socket", family, kind, protocol)
    }
    inet = {(family, *rest) for family in (2, 10) for rest in ((1, 0), (1, 6), (2, 0), (2, 17))}
    assert made == inet | {(1, kind, protocol) for kind in (1, 2) for protocol in range(300)}
    assert all(is_let_through("socket", 2, 1 | flag, 0) for flag in flags)


def test_the_upper_half_of_a_register_which_the_kernel_ignores_changes_nothing() -> None:
    for family in (16, 17, 38, 40):
        assert not is_let_through("socket", family | 1 << 32, 3, 0)
    assert is_let_through("socket", 2 | 1 << 32, 1, 0)


def test_pairs_of_sockets_are_unix_sockets() -> None:
    made = {
        (family, kind)
        for family, kind in product(range(64), range(16))
        if is_let_through("socketpair", family, kind)
    }
    assert made == {(1, 1), (1, 2)}


@pytest.mark.parametrize("bit", [0x20000, *(1 << bit for bit in range(25, 31))])
def test_clone_makes_threads_and_children_but_no_namespace(bit: int) -> None:
    child, thread = 0x01200011, 0x003D0F00
    assert is_let_through("clone", child)
    assert is_let_through("clone", thread)
    assert not is_let_through("clone", child | bit)
    assert not is_let_through("clone", thread | bit)


@pytest.mark.parametrize(("name", "index"), [("mknod", 1), ("mknodat", 2)])
def test_pipes_and_plain_files_can_be_made_but_no_device(name: str, index: int) -> None:
    made = {
        kind
        for kind in range(16)
        if is_let_through(name, *[0] * index, kind << 12 | 0o644, *[0] * (3 - index))
    }
    assert made == {0, 1, 8}


def test_the_personality_can_be_asked_for_and_not_be_changed() -> None:
    values = (0, 8, 0x20000, 0x40000, 0xFFFFFFFF)
    assert {one for one in values if is_let_through("personality", one)} == {0, 0xFFFFFFFF}


def test_every_call_that_was_measured_is_let_through_or_fallen_back_from() -> None:
    measured = set().union(*MEASURED["workloads"].values())
    assert len(measured) > 150
    assert measured - PROFILE.allowed_names() == FALLEN_BACK_FROM
    for name in FALLEN_BACK_FROM:
        assert [rule.errnoRet for rule in rules_for(name)] == [38]


def test_every_rule_says_what_it_is_for() -> None:
    assert all(rule.comment for rule in PROFILE.syscalls)


@pytest.mark.parametrize("machine", TWO)
def test_it_lets_through_strictly_less_than_current_moby(machine: str) -> None:
    moby = MobyDefault(machine)
    machines_own = {"arch_prctl"} if machine == "aarch64" else set()
    assert PROFILE.allowed_names() - machines_own < moby.names
    only_so = {name for name in PROFILE.allowed_names() & moby.names if name not in moby.plain}
    assert only_so == {"clone", "personality", "socket"}
    assert only_so <= set(PROFILE.conditions())
    values = {
        "socket": range(64),
        "personality": (0, 8, 0x20000, 0x20008, 0x40000, 0xFFFFFFFF),
        "clone": (0, 17, *(1 << bit for bit in range(32))),
    }
    for name, firsts in values.items():
        ours = {first for first in firsts for kind in (1, 2) if is_let_through(name, first, kind)}
        theirs = {first for first in firsts if moby.lets_through(name, first)}
        assert ours
        assert ours <= theirs, name
    # what both have, but theirs with more arguments
    assert moby.lets_through("socket", 16)
    assert not is_let_through("socket", 16, 2)


def test_the_table_tells_how_many_calls_current_moby_lets_through() -> None:
    page = (ROOT / "docs/security/seccomp-syscall-analysis.md").read_text()
    source = FACTS["source"]
    row = next(line for line in page.splitlines() if source["commit"][:8] in line)
    assert str(source["date"]) in row
    x86_64, aarch64 = MobyDefault("x86_64"), MobyDefault("aarch64")
    numbers = (len(x86_64.names), len(x86_64.calls()), len(aarch64.calls()))
    assert row.endswith(f"| {' | '.join(str(number) for number in numbers)} |")
    assert f"name 355 and {len(aarch64.names)}." in page
    ours = [sum(has_call(name, machine) for name in PROFILE.allowed_names()) for machine in TWO]
    names = len(PROFILE.allowed_names())
    assert f"| this one | {names} | {ours[0]} | {ours[1]} |" in page


def has_call(name: str, machine: str) -> bool:
    return number_of(name, machine) is not None


def test_the_analysis_tells_the_numbers_that_hold() -> None:
    page = (ROOT / "docs/security/seccomp-syscall-analysis.md").read_text()
    allowed, workloads = PROFILE.allowed_names(), MEASURED["workloads"]
    measured = set().union(*workloads.values())
    assert f"Together they make {len(measured)} calls" in page
    assert f"\n{len(allowed - measured)} calls. None opens" in page
    rows = {line.split("|")[1].strip(" `"): line for line in page.splitlines() if "|" in line}
    for name, calls in workloads.items():
        assert rows[name].endswith(f"| {len(calls)} |")
