"""The filter that each machine's kernel gets: run here on every call, and by this kernel, too."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
from tests.integration.host.containers import syscall_probe
from tests.seccomp import bpf
from tests.seccomp.bpf import SystemCall
from tests.seccomp.libseccomp import ARCHITECTURES, call_numbers, filter_of, is_known, number_of
from tests.seccomp.reading import (
    NEW_NAMESPACES,
    NUMBERS,
    PAST_EVERY_FILTER,
    Call,
    calls_to_ask,
    reading_of,
)

from hakoiri.host.container_settings import ContainerSettings
from hakoiri.host.containers.box import read_profile
from hakoiri.host.containers.violations import CALL_NAMES
from hakoiri.workspace_agent.probe.system_calls import NUMBERS as PROBED

ROOT = Path(__file__).parents[4]
UNDER_FILTER = ROOT / "tests/seccomp/under_filter.py"
PAGE = ROOT / "docs/security/seccomp-syscall-analysis.md"
PROFILE = read_profile(ContainerSettings())
SAYS = reading_of(PROFILE)
MACHINES = ("x86_64", "aarch64")
POINTER = 0x7F0000001000
EPERM, ENOSYS = 1, 38

YOUNGER_THAN_THE_LIBRARY = {
    *("file_getattr", "file_setattr", "getxattrat", "listmount", "listxattrat", "mseal"),
    *("open_tree_attr", "removexattrat", "setxattrat", "statmount"),
}
"""Refused by name, and unknown to Debian 12's libseccomp: refused as what no rule names."""

KILLED = {
    *("bpf", "delete_module", "finit_module", "fsconfig", "fsmount", "fsopen", "fspick"),
    *("init_module", "kexec_file_load", "kexec_load", "mount", "mount_setattr", "move_mount"),
    *("open_by_handle_at", "open_tree", "pivot_root", "reboot", "swapoff", "swapon", "umount2"),
}
AS_IF_MISSING = {
    *("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register", "execveat"),
    *("pkey_alloc", "pkey_mprotect", "pkey_free", "memfd_secret", "landlock_create_ruleset"),
}
REFUSED = {
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "keyctl"),
    *("add_key", "request_key", "perf_event_open", "userfaultfd", "unshare", "setns"),
    *("name_to_handle_at", "fanotify_init", "chroot", "acct", "quotactl", "syslog", "seccomp"),
    *("settimeofday", "clock_settime", "adjtimex", "sethostname", "setdomainname", "vmsplice"),
    *("process_madvise", "set_mempolicy", "move_pages", "vhangup", "setgroups", "semget"),
}


@cache
def program(machine: str) -> list[bpf.Instruction]:
    return bpf.read(filter_of(PROFILE, machine))


@cache
def numbers(machine: str) -> dict[str, int]:
    return call_numbers(PROFILE, machine)


@cache
def names(machine: str) -> dict[int, str]:
    return {number: name for name, number in numbers(machine).items()}


def answered(machine: str, number: int, *arguments: int) -> int | str:
    call = SystemCall(number, ARCHITECTURES[machine], arguments)
    return bpf.meaning(bpf.answer(program(machine), call))


def named(machine: str, name: str, *arguments: int) -> int | str:
    number = number_of(name, machine)
    assert number is not None, f"{machine} has no {name}"
    return answered(machine, number, *arguments)


def expected(machine: str, call: Call) -> int | str:
    """What the rules say, read without the library's compiler."""
    name = names(machine).get(call[0])
    return EPERM if name is None else SAYS(name, call[1:])


def test_the_library_knows_every_name_but_the_youngest_which_are_refused() -> None:
    unknown = {name for rule in PROFILE.syscalls for name in rule.names if not is_known(name)}
    assert unknown <= YOUNGER_THAN_THE_LIBRARY
    assert not unknown & PROFILE.allowed_names()


@pytest.mark.parametrize("machine", MACHINES)
def test_the_allowed_calls_of_each_machine_are_those_that_the_page_counts(machine: str) -> None:
    let_through = {
        name
        for name, number in numbers(machine).items()
        if SAYS(name) == "through" or name in PROFILE.conditions()
    }
    assert let_through == PROFILE.allowed_names() & set(numbers(machine))
    without_condition = {numbers(machine)[name] for name in let_through - set(PROFILE.conditions())}
    for filled in (0, 2**64 - 1):
        found = {one for one in NUMBERS if answered(machine, one, *[filled] * 6) == "through"}
        assert without_condition <= found
        assert found - without_condition <= {
            numbers(machine)[name] for name in PROFILE.conditions() if name in numbers(machine)
        }
    column = {"x86_64": 2, "aarch64": 3}[machine]
    (row,) = (line for line in PAGE.read_text().splitlines() if line.startswith("| this one |"))
    assert row.split("|")[column + 1].strip() == str(len(let_through))


def test_the_page_names_what_aarch64_lacks() -> None:
    lacking = PROFILE.allowed_names() - set(numbers("aarch64"))
    (said,) = (line for line in PAGE.read_text().split("\n\n") if line.startswith("aarch64 lacks"))
    assert set(said.split("`")[1::2]) == lacking


@pytest.mark.parametrize("machine", MACHINES)
def test_the_compiled_filter_says_to_every_call_what_the_rules_say(machine: str) -> None:
    asked = list(calls_to_ask(numbers(machine)))
    assert len(asked) > 18_000
    wrong = [one for one in asked if answered(machine, *one) != expected(machine, one)]
    assert wrong == []


@pytest.mark.parametrize("machine", MACHINES)
def test_what_opens_the_box_is_refused_as_it_should_be(machine: str) -> None:
    for arguments in ((), (2**64 - 1,) * 6, (POINTER,) * 6):
        said = {name: named(machine, name, *arguments) for name in KILLED | AS_IF_MISSING | REFUSED}
        assert said == {
            **dict.fromkeys(KILLED, "killed"),
            **dict.fromkeys(AS_IF_MISSING, ENOSYS),
            **dict.fromkeys(REFUSED, EPERM),
        }


@pytest.mark.parametrize("machine", MACHINES)
def test_no_call_beyond_the_kernels_goes_through(machine: str) -> None:
    for number in (*range(470, 2048), 2**30, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 10_001):
        assert answered(machine, number) in (EPERM, "killed")


@pytest.mark.parametrize("machine", MACHINES)
def test_no_socket_of_the_kernels_inside_can_be_made(machine: str) -> None:
    for kind in range(16):
        for family in (15, 16, 17, 29, 30, 31, 38, 40, 44):
            assert named(machine, "socket", family, kind, 0) == EPERM
            assert named(machine, "socket", family | 1 << 32, kind, 0) == EPERM
    for family, protocol in ((2, 1), (10, 58), (2, 255)):
        assert named(machine, "socket", family, 3, protocol) == EPERM
    assert named(machine, "socket", 2, 1 | 0o2000000, 6) == "through"


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("flag", NEW_NAMESPACES)
def test_clone_makes_no_namespace(machine: str, flag: int) -> None:
    assert named(machine, "clone", flag | 17) == EPERM
    assert named(machine, "clone", 17) == "through"


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("personality", ["i386", "arm"])
def test_a_call_of_another_personality_is_killed(machine: str, personality: str) -> None:
    for number in NUMBERS:
        call = SystemCall(number, ARCHITECTURES[personality])
        assert bpf.meaning(bpf.answer(program(machine), call)) == "killed"


def test_a_call_of_x32_is_killed() -> None:
    for number in NUMBERS:
        assert answered("x86_64", number | 1 << 30) == "killed"


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_that_others_wrote_down_are_the_librarys(machine: str) -> None:
    written = {name: on(machine, *both) for name, both in PROBED.items()}
    written |= {
        name: on(machine, x86, arm)
        for name, (x86, arm, _) in syscall_probe.CALLS.items()
        if " " not in name
    }
    written |= {name: number for number, name in killed_for(machine).items()}
    for name, number in written.items():
        if is_known(name):
            assert number_of(name, machine) == (None if number == -1 else number), name
    assert set(written) >= KILLED


@pytest.mark.parametrize("machine", MACHINES)
def test_every_killed_call_can_be_told_by_its_name(machine: str) -> None:
    killed = {number for number in NUMBERS if answered(machine, number) == "killed"}
    assert killed <= set(killed_for(machine))


def on(machine: str, x86: int, arm: int) -> int:
    return x86 if machine == "x86_64" else arm


def killed_for(machine: str) -> Mapping[int, str]:
    return CALL_NAMES[f"{ARCHITECTURES[machine]:x}"]


def under_filter(steps: list[bpf.Instruction], *how: str, directory: Path, given: str = "") -> str:
    file = directory / "filter"
    file.write_bytes(bpf.write(steps))
    return subprocess.run(
        [sys.executable, "-I", str(UNDER_FILTER), str(file), *how],
        input=given,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def test_this_kernel_reads_every_call_as_it_is_read_here(tmp_path: Path) -> None:
    machine = platform.machine()
    asked = [
        one for one in calls_to_ask(numbers(machine)) if one[0] not in PAST_EVERY_FILTER[machine]
    ]
    asking = bpf.asking(program(machine))
    said = json.loads(under_filter(asking, "ask", directory=tmp_path, given=json.dumps(asked)))
    here = [answered(machine, *one) for one in asked]
    assert [bpf.unmarked(one) for one in said] == here
    assert {"through", "killed", EPERM, ENOSYS} == set(here)


def test_calls_that_are_really_made_under_it_end_as_it_says(tmp_path: Path) -> None:
    machine = platform.machine()
    how = ("run", os.path.realpath(sys.executable), "-I", str(Path(syscall_probe.__file__)))
    seen = json.loads(under_filter(program(machine), *how, directory=tmp_path))
    made = {
        name: (on(machine, x86, arm), arguments)
        for name, (x86, arm, arguments) in syscall_probe.CALLS.items()
    }
    socket = numbers(machine)["socket"]
    sockets = syscall_probe.SOCKETS | syscall_probe.MADE
    made |= {name: (socket, arguments) for name, arguments in sockets.items()}
    for name, (number, arguments) in made.items():
        passed = [one if isinstance(one, int) else POINTER * bool(one) for one in arguments]
        said = answered(machine, number, *passed)
        assert seen[name] == ("SIGSYS" if said == "killed" else said), name
    assert {seen[name] for name in syscall_probe.MADE} == {"through"}
    if machine == "x86_64":
        assert seen["32-bit getpid"] == "SIGSYS"
