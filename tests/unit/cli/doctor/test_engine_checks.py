from dataclasses import replace

import pytest

from hakoiri.cli.doctor import engine_checks
from hakoiri.cli.doctor.engine_facts import EngineFacts
from hakoiri.cli.doctor.finding import State
from hakoiri.host.launch import AppArmorKnown
from hakoiri.wire.guard import RUNSC_FLAGS

ENGINE = EngineFacts(
    version="20.10.24",
    storage_driver="overlay2",
    cgroup_version="1",
    lacking_limits=(),
    security_options=("name=seccomp,profile=default",),
    runtimes={
        "runc": (),
        "runsc": ("--network=none", "--host-uds=all", "--oci-seccomp", "--platform=ptrace"),
    },
    root_directory="/var/lib/docker",
)


def test_an_engine_like_ours_lacks_nothing_that_is_needed() -> None:
    findings = [
        engine_checks.check_engine(ENGINE),
        engine_checks.check_limits(ENGINE),
        engine_checks.check_storage(ENGINE),
        engine_checks.check_seccomp(ENGINE),
        engine_checks.check_runc(ENGINE),
        engine_checks.check_runsc(ENGINE, needed=True),
        engine_checks.check_image("hakoiri/workspace", present=True),
    ]
    assert {finding.state for finding in findings} == {State.OK}


def test_an_engine_that_is_away_is_missing_and_says_why() -> None:
    finding = engine_checks.engine_away("unix:///x.sock", "connection refused")
    assert finding.state is State.MISSING
    assert "unix:///x.sock: connection refused" in finding.text


def test_limits_that_cannot_be_set_are_missing_and_named() -> None:
    finding = engine_checks.check_limits(replace(ENGINE, lacking_limits=("memory", "pids")))
    assert finding.state is State.MISSING
    assert "memory, pids" in finding.text


def test_storage_that_copies_whole_images_is_a_warning() -> None:
    finding = engine_checks.check_storage(replace(ENGINE, storage_driver="vfs"))
    assert finding.state is State.WARNING


def test_an_engine_that_filters_nothing_by_default_filters_ours_all_the_same() -> None:
    options = ("name=seccomp,profile=unconfined",)
    finding = engine_checks.check_seccomp(replace(ENGINE, security_options=options))
    assert finding.state is State.WARNING
    assert "not ours" in finding.text


@pytest.mark.parametrize("options", [(), ("name=userns",)])
def test_an_engine_that_filters_no_system_calls_is_missing_a_layer(
    options: tuple[str, ...],
) -> None:
    finding = engine_checks.check_seccomp(replace(ENGINE, security_options=options))
    assert finding.state is State.MISSING


def test_apparmor_is_a_warning_until_the_named_profile_is_enforced() -> None:
    used = replace(ENGINE, security_options=("name=apparmor",))
    enforced = AppArmorKnown(enabled=True, profiles={"workspace-container": "enforce"})
    cases = [
        (ENGINE, AppArmorKnown(), "workspace-container"),
        (ENGINE, enforced, "workspace-container"),
        (used, enforced, None),
        (used, enforced, "workspace-container"),
    ]
    found = [
        engine_checks.check_apparmor(engine, kernel=kernel, profile=profile)
        for engine, kernel, profile in cases
    ]
    assert [one.state for one in found] == [*[State.WARNING] * 3, State.OK]
    assert len({one.mend for one in found}) == 4


def test_user_namespaces_are_said_to_be_off() -> None:
    off = engine_checks.check_user_namespace(ENGINE)
    remapped = replace(
        ENGINE,
        security_options=("name=userns",),
        root_directory="/var/lib/docker/165536.265536",
    )
    on = engine_checks.check_user_namespace(remapped)
    assert (off.state, on.state) == (State.WARNING, State.OK)
    assert "docs/operations/userns-remap.md" in off.mend
    assert "166536:266536" in on.text


def test_an_engine_whose_users_cannot_be_told_starts_no_box() -> None:
    for options, root in (("name=userns", "/var/lib/docker"), ("name=rootless", "/home/x/docker")):
        engine = replace(ENGINE, security_options=(options,), root_directory=root)
        assert engine_checks.check_user_namespace(engine).state is State.MISSING


def test_runc_is_needed() -> None:
    assert engine_checks.check_runc(replace(ENGINE, runtimes={})).state is State.MISSING


@pytest.mark.parametrize(
    ("runtimes", "named"),
    [
        ({}, "not registered"),
        ({"runsc": ()}, "--network=none --host-uds=all --oci-seccomp"),
        ({"runsc": ("--network=none", "--oci-seccomp")}, "--host-uds=all"),
        ({"runsc": ("--network=host", "--host-uds=all", "--oci-seccomp")}, "--network=none"),
        ({"runsc": (*RUNSC_FLAGS, "--network=host")}, "--network=host"),
        ({"runsc": (*RUNSC_FLAGS, "--oci-seccomp=false")}, "--oci-seccomp=false"),
    ],
)
def test_runsc_without_its_flags_is_missing_only_where_it_is_the_chosen_runtime(
    runtimes: dict[str, tuple[str, ...]], named: str
) -> None:
    engine = replace(ENGINE, runtimes=runtimes)
    chosen = engine_checks.check_runsc(engine, needed=True)
    other = engine_checks.check_runsc(engine, needed=False)
    assert (chosen.state, other.state) == (State.MISSING, State.WARNING)
    assert named in chosen.text


def test_an_image_that_is_not_built_is_missing() -> None:
    assert engine_checks.check_image("hakoiri/workspace", present=False).state is State.MISSING
