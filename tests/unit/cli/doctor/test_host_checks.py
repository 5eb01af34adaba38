from pathlib import Path

import pytest

from hakoiri.cli.doctor import host_checks
from hakoiri.cli.doctor.finding import State
from hakoiri.cli.doctor.forgotten_disks import ForgottenDisk
from hakoiri.cli.doctor.host_facts import FileFacts

FILE = Path("/etc/hakoiri/proxy.env")


def facts(mode: int, *, owner: int = 0) -> FileFacts:
    return FileFacts(mode=mode, owner=owner, group=0, is_directory=False, is_socket=False)


def test_the_machine_must_be_linux_and_we_root_with_a_new_python() -> None:
    assert host_checks.check_platform("Linux", "6.1").state is State.OK
    assert host_checks.check_platform("Darwin", "23").state is State.MISSING
    assert host_checks.check_root(0).state is State.OK
    assert host_checks.check_root(1000).state is State.MISSING
    assert host_checks.check_python((3, 11, 0)).state is State.OK
    assert host_checks.check_python((3, 9, 2)).state is State.MISSING


def test_a_missing_command_names_its_package() -> None:
    finding = host_checks.check_command("setpriv", path=None, package="util-linux")
    assert finding.state is State.MISSING
    assert "util-linux" in finding.mend


@pytest.mark.parametrize(
    ("uid", "state"), [(None, State.MISSING), (0, State.MISSING), (998, State.OK)]
)
def test_a_process_user_exists_and_is_not_root(uid: int | None, state: State) -> None:
    assert host_checks.check_user("hakoiri", uid).state is state


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (facts(0o755), State.OK),
        (facts(0o775), State.MISSING),
        (facts(0o1777), State.MISSING),
        (facts(0o755, owner=1000), State.MISSING),
        (None, State.MISSING),
    ],
)
def test_sockets_lie_where_nobody_else_can_replace_them(
    found: FileFacts | None, state: State
) -> None:
    finding = host_checks.check_run_directory(
        Path("/run/hakoiri"), holder=Path("/run"), facts=found
    )
    assert finding.state is state


def test_a_run_directory_too_long_for_sockets_is_missing() -> None:
    path = Path("/run") / ("d" * 80)
    finding = host_checks.check_run_directory(path, holder=Path("/run"), facts=facts(0o755))
    assert finding.state is State.MISSING
    assert "HAKOIRI_RUN_DIR" in finding.mend


def test_a_disk_needs_two_gibibytes() -> None:
    enough = host_checks.NEEDED_FREE_BYTES
    path = Path("/var/lib/hakoiri")
    assert host_checks.check_disk("data directory", path, free=enough).state is State.OK
    assert host_checks.check_disk("data directory", path, free=enough - 1).state is State.MISSING


@pytest.mark.parametrize(
    ("found", "policy_file", "secrets_file"),
    [
        (None, State.OK, State.OK),
        (facts(0o600), State.OK, State.OK),
        (facts(0o644), State.OK, State.MISSING),
        (facts(0o640), State.OK, State.MISSING),
        (facts(0o620), State.MISSING, State.MISSING),
        (facts(0o600, owner=998), State.MISSING, State.MISSING),
    ],
)
def test_the_proxys_files_are_written_by_root_and_its_secrets_read_by_root_alone(
    found: FileFacts | None, policy_file: State, secrets_file: State
) -> None:
    assert host_checks.check_proxy_file(FILE, found).state is policy_file
    assert host_checks.check_proxy_environment(FILE, found).state is secrets_file


@pytest.mark.parametrize(
    ("found", "members", "state"),
    [
        (None, (), State.MISSING),
        (facts(0o666), (), State.MISSING),
        (facts(0o660), (), State.OK),
        (facts(0o660), ("hana",), State.WARNING),
        (facts(0o600), ("hana",), State.OK),
    ],
)
def test_whoever_can_open_the_engines_socket_is_named(
    found: FileFacts | None, members: tuple[str, ...], state: State
) -> None:
    finding = host_checks.check_engine_socket(Path("/s"), found, members=members)
    assert finding.state is state


def test_what_only_later_layers_need_is_a_warning() -> None:
    assert host_checks.check_kernel_log(readable=False).state is State.WARNING
    assert host_checks.check_pressure(present=False).state is State.WARNING
    assert host_checks.check_kernel_log(readable=True).state is State.OK
    assert host_checks.check_pressure(present=True).state is State.OK


def test_what_the_disks_of_containers_need_is_told_with_its_mend() -> None:
    assert host_checks.check_loop_devices(present=True).state is State.OK
    missing = host_checks.check_loop_devices(present=False)
    assert missing.state is State.MISSING
    assert "modprobe loop" in (missing.mend or "")
    path, needed = Path("/var/lib/hakoiri-live"), 2 * host_checks.GIB
    assert host_checks.check_live_disk(path, free=needed, needed=needed).state is State.OK
    full = host_checks.check_live_disk(path, free=needed - 1, needed=needed)
    assert full.state is State.MISSING
    assert "HAKOIRI_GUARD__DISK_FLOOR_MIB" in (full.mend or "")


def test_who_holds_a_removed_disk_is_named_with_the_mend() -> None:
    assert host_checks.check_forgotten_disks([]).state is State.OK
    held = [
        ForgottenDisk("c" + "0" * 16, (7, 9), (6, 9)),
        ForgottenDisk("c" + "0" * 16, (7,), (6,)),
    ]
    found = host_checks.check_forgotten_disks(held)
    assert found.state is State.WARNING
    assert "2 disks of 1 containers" in found.text
    assert "c" + "0" * 16 in found.text
    assert "`kill -KILL 6 9`" in found.mend
