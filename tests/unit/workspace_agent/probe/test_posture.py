import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from hakoiri.host.containers.hardening import MASKED_PATHS
from hakoiri.wire.id_map import WHOLE, IdRange
from hakoiri.workspace_agent.probe.asked import Asked
from hakoiri.workspace_agent.probe.posture import INITIAL_NAMESPACES, expected_posture, judge
from hakoiri.workspace_agent.probe.standing import Standing, read_standing

ASKERS = {
    "cgroup": 101, "ipc": 102, "mnt": 103, "net": 104, "pid": 105, "time": 106, "user": 107,
    "uts": 108,
}  # fmt: skip
"""The numbers of the namespaces of who asks."""

ASKED = Asked(
    runtime="runc",
    owner_uid=1000,
    owner_gid=1000,
    namespaces=ASKERS,
    open_files=4096,
    file_limit_bytes=2**30,
    apparmor="workspace-container (enforce)",
    thorough=False,
)


def expected_of(**changes: Any) -> dict[str, Any]:
    return expected_posture(dataclasses.replace(ASKED, **changes))


SHIFTED_USERS = (IdRange(0, 165_536, 65_536),)
EXPECTED = expected_of()
NO_RIGHTS = dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16)
SOUND = Standing(
    user_ids=frozenset({1000}),
    group_ids=frozenset({1000}),
    user_map=WHOLE,
    group_map=WHOLE,
    namespaces={kind: number + 1000 for kind, number in ASKERS.items()}
    | {"time": 106, "user": 107},
    capabilities=NO_RIGHTS,
    has_no_new_privileges=True,
    filter_mode="2",
    apparmor="workspace-container (enforce)",
    host_name="workspace",
    mounts={
        **{
            target: frozenset({*options, "relatime"})
            for target, options in EXPECTED["mounts"].items()
        },
        "/proc/keys": frozenset({"rw"}),
        "/sys/firmware": frozenset({"ro"}),
        "/sys/devices/system/cpu/cpu11/thermal_throttle": frozenset({"ro"}),
    },
    masked={
        "/proc/keys": True,
        "/sys/firmware": True,
        "/sys/devices/system/cpu/cpu11/thermal_throttle": True,
    },
    limits={"core": (0, 0), "nofile": (4096, 4096), "fsize": (2**30, 2**30)},
    open_files=("0", "1", "2"),
    foreign_processes=(),
    devices=frozenset({"null", "zero"}),
)


REMAPPED = expected_of(owner_uid=166_536, owner_gid=266_536)
SHIFTED = dataclasses.replace(
    SOUND,
    user_map=SHIFTED_USERS,
    group_map=(IdRange(0, 265_536, 65_536),),
    namespaces={**(SOUND.namespaces or {}), "user": 1107},
    mounts={**SOUND.mounts, "/dev/null": frozenset({"rw"})},
)
SENTRY = dataclasses.replace(
    SOUND,
    namespaces={"net": 1, "pid": 2, "user": 3},
    capabilities={**NO_RIGHTS, "CapAmb": None},
    apparmor=None,
    mounts={
        target: frozenset(options)
        for target, options in expected_of(runtime="runsc")["mounts"].items()
    },
    masked={"/sys/module": True},
)


def found_open(standing: Standing, expected: dict[str, Any] = EXPECTED) -> list[str]:
    return [finding.name for finding in judge(standing, expected) if finding.result == "open"]


def test_the_posture_that_must_be_has_no_open_finding() -> None:
    assert found_open(SOUND) == []
    assert found_open(SENTRY, expected_of(runtime="runsc")) == []


def namespaces(**changes: int) -> dict[str, Any]:
    return {"namespaces": {**(SOUND.namespaces or {}), **changes}}


@pytest.mark.parametrize(
    ("difference", "name"),
    [
        ({"user_ids": frozenset({0})}, "posture: user"),
        ({"user_ids": frozenset({1000, 0})}, "posture: user"),
        ({"group_ids": frozenset({1000, 999})}, "posture: groups"),
        ({"user_map": ()}, "posture: users on the host"),
        ({"user_map": SHIFTED_USERS}, "posture: users on the host"),
        ({"group_map": SHIFTED_USERS}, "posture: groups on the host"),
        *(
            (namespaces(**{kind: number}), f"posture: namespace {kind}")
            for kind in ("cgroup", "ipc", "mnt", "net", "pid", "uts")
            for number in (ASKERS[kind], INITIAL_NAMESPACES[kind])
        ),
        (namespaces(user=1107), "posture: namespace user"),
        (namespaces(time=1106), "posture: namespace time"),
        (namespaces(new=1), "posture: namespaces"),
        *(
            ({"capabilities": {**NO_RIGHTS, name: told}}, f"posture: capabilities {name.lower()}")
            for name, told in (
                ("CapBnd", "00000000a80425fb"),
                ("CapEff", "0000000000000001"),
                ("CapInh", None),
                ("CapAmb", None),
            )
        ),
        ({"filter_mode": "0"}, "posture: system-call filter"),
        ({"filter_mode": None}, "posture: system-call filter"),
        ({"has_no_new_privileges": False}, "posture: no new privileges"),
        ({"apparmor": None}, "posture: AppArmor label"),
        ({"apparmor": "unconfined"}, "posture: AppArmor label"),
        ({"apparmor": "workspace-container (complain)"}, "posture: AppArmor label"),
        ({"host_name": "the-host"}, "posture: host name"),
        ({"mounts": {**SOUND.mounts, "/": frozenset({"rw"})}}, "posture: mount /"),
        ({"mounts": {**SOUND.mounts, "/sys": frozenset({"rw"})}}, "posture: mount /sys"),
        ({"mounts": {**SOUND.mounts, "/host": frozenset({"ro"})}}, "posture: mounts besides"),
        ({"mounts": {**SOUND.mounts, "/sys/x": frozenset({"ro"})}}, "posture: mounts besides"),
        (
            {"mounts": {**SOUND.mounts, "/sys/fs/cgroup/cpu": frozenset({"rw"})}},
            "posture: mounts besides",
        ),
        # it shows something, or nothing only because there is nothing now
        ({"masked": {"/proc/keys": False}}, "posture: masked paths"),
        ({"masked": {"/sys/kernel/debug": True}}, "posture: masked paths"),
        ({"limits": {**SOUND.limits, "core": (0, -1)}}, "posture: limit core"),
        ({"limits": {**SOUND.limits, "nofile": (4096, 4097)}}, "posture: limit nofile"),
        ({"limits": {**SOUND.limits, "nofile": (1024, 4096)}}, "posture: limit nofile"),
        ({"limits": {**SOUND.limits, "fsize": (-1, -1)}}, "posture: limit fsize"),
        ({"open_files": ("0", "1", "2", "7")}, "posture: open files"),
        ({"open_files": ()}, "posture: open files"),
        ({"open_files": None}, "posture: open files"),
        ({"foreign_processes": ("1 of user 0",)}, "posture: processes of others"),
        ({"foreign_processes": None}, "posture: processes of others"),
        ({"devices": frozenset({"null", "kvm"})}, "posture: devices besides the harmless"),
    ],
)
def test_each_difference_is_a_finding(difference: dict[str, Any], name: str) -> None:
    assert found_open(dataclasses.replace(SOUND, **difference)) == [name]


def test_namespaces_that_cannot_be_read_are_open() -> None:
    unread: tuple[dict[str, int] | None, ...] = (None, {})
    for told in unread:
        found = found_open(dataclasses.replace(SOUND, namespaces=told))
        assert found == ["posture: namespaces", *(f"posture: namespace {kind}" for kind in ASKERS)]


def test_who_tells_nothing_of_its_own_namespaces_learns_nothing_of_the_boxs() -> None:
    found = found_open(SOUND, expected_of(namespaces={}))
    assert found == [f"posture: namespace {kind}" for kind in ASKERS]


def test_a_box_in_the_hosts_user_namespace_where_who_asks_is_in_a_container() -> None:
    first = {**(SOUND.namespaces or {}), "user": INITIAL_NAMESPACES["user"]}
    assert found_open(dataclasses.replace(SOUND, namespaces=first)) == []


def test_gvisor_has_three_kinds_of_its_own_and_no_others() -> None:
    expected = expected_of(runtime="runsc")
    more = dataclasses.replace(SENTRY, namespaces={"net": 1, "pid": 2, "user": 3, "ipc": 4})
    assert found_open(more, expected) == ["posture: namespaces"]
    hosts = dataclasses.replace(SENTRY, namespaces={"net": 104, "pid": 2, "user": 3})
    assert found_open(hosts, expected) == ["posture: namespace net"]
    labelled = dataclasses.replace(SENTRY, apparmor="workspace-container (enforce)")
    assert found_open(labelled, expected) == ["posture: AppArmor label"]
    shown = dataclasses.replace(SENTRY, masked={"/proc/kcore": False})
    assert found_open(shown, expected) == ["posture: masked paths"]


def test_where_the_kernel_has_no_apparmor_a_label_is_a_difference() -> None:
    without = expected_of(apparmor=None)
    assert found_open(SOUND, without) == ["posture: AppArmor label"]
    assert found_open(dataclasses.replace(SOUND, apparmor=None), without) == []


def test_where_the_engine_maps_users_the_box_must_show_it() -> None:
    assert found_open(SHIFTED, REMAPPED) == []
    assert found_open(SOUND, REMAPPED) == [
        "posture: users on the host",
        "posture: groups on the host",
        "posture: namespace user",
    ]


@pytest.mark.parametrize(
    "ranges",
    [
        (),
        (IdRange(0, 165_537, 65_536),),
        (IdRange(0, 165_536, 1000),),
        # the user is right, but the box's root is the host's
        (IdRange(0, 0, 1), IdRange(1, 165_537, 65_535)),
        (IdRange(0, 65_535, 1), IdRange(1, 165_537, 65_535)),
    ],
)
def test_other_ids_than_those_the_engine_told_are_a_finding(ranges: tuple[IdRange, ...]) -> None:
    users = dataclasses.replace(SHIFTED, user_map=ranges)
    assert found_open(users, REMAPPED) == ["posture: users on the host"]


def test_what_only_a_remapped_box_may_have_is_a_finding_in_another() -> None:
    mounts = {**SOUND.mounts, "/dev/null": frozenset({"rw"})}
    assert found_open(dataclasses.replace(SOUND, mounts=mounts)) == ["posture: mounts besides"]


def test_gvisor_shows_whole_maps_whatever_the_hosts_are() -> None:
    for owner in (1000, 166_536):
        expected = expected_of(runtime="runsc", owner_uid=owner, owner_gid=owner)
        assert found_open(SENTRY, expected) == []
        shifted = dataclasses.replace(SENTRY, user_map=SHIFTED_USERS)
        assert found_open(shifted, expected) == ["posture: users on the host"]


def test_a_mount_that_is_missing_is_a_finding() -> None:
    mounts = {target: options for target, options in SOUND.mounts.items() if target != "/sys"}
    assert found_open(dataclasses.replace(SOUND, mounts=mounts)) == ["posture: mount /sys"]


def test_this_process_can_be_read_and_is_not_a_box() -> None:
    standing = read_standing(EXPECTED["masked"]["paths"])
    assert "/" in standing.mounts
    assert standing.filter_mode in {"0", "2"}
    assert "posture: masked paths" in found_open(standing)


def everything() -> dict[str, Any]:
    path = Path(__file__).parents[4] / "src/hakoiri/workspace_agent/probe/posture.json"
    read: dict[str, Any] = json.loads(path.read_text())
    return read


def test_the_file_has_both_runtimes_and_the_same_shape() -> None:
    read = everything()
    assert set(read) == {"runc", "runc remapped", "runsc", "runsc remapped"}
    assert set(read["runc"]) == set(read["runsc"])
    assert set(read["runc remapped"]) <= set(read["runc"])
    assert read["runsc remapped"] == {}


def test_all_that_the_engine_is_told_to_mask_must_be_masked() -> None:
    in_file = everything()["runc"]["masked"]["paths"]
    heat = [path for path in in_file if "*" in path]
    assert {path for path in MASKED_PATHS if not Path(path).match(heat[0])} == {
        path for path in in_file if path not in heat
    }
    assert len(heat) == 1
    # gVisor's own tells nothing of the host
    assert {*in_file} - {*everything()["runsc"]["masked"]["paths"]} == {"/proc/cmdline"}
