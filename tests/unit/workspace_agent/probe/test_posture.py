import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.wire.id_map import WHOLE, IdRange
from hakoiri.workspace_agent.probe.posture import (
    Posture,
    expected_posture,
    judge,
    parse_mounts,
    read_posture,
)

SHIFTED_USERS = (IdRange(0, 165_536, 65_536),)
EXPECTED = expected_posture("runc", owner=(1000, 1000))
SOUND = Posture(
    user_ids=frozenset({1000}),
    group_ids=frozenset({1000}),
    user_map=WHOLE,
    group_map=WHOLE,
    status={"CapInh": "0000", "CapPrm": "0", "CapEff": "0", "CapBnd": "0", "CapAmb": "0"}
    | {"Seccomp": "2"},
    has_no_new_privileges=True,
    host_name="workspace",
    mounts={
        target: frozenset({*options, "relatime"}) for target, options in EXPECTED["mounts"].items()
    },
    limits={"core": 0, "nofile": 4096, "fsize": 2**30},
    open_files=("0", "1", "2"),
    foreign_processes=(),
    devices=frozenset({"null", "zero"}),
)


REMAPPED = expected_posture("runc", owner=(166_536, 266_536))
SHIFTED = dataclasses.replace(
    SOUND,
    user_map=SHIFTED_USERS,
    group_map=(IdRange(0, 265_536, 65_536),),
    mounts={**SOUND.mounts, "/dev/null": frozenset({"rw"}), "/proc/keys": frozenset({"rw"})},
)


def found_open(posture: Posture, expected: dict[str, Any] = EXPECTED) -> list[str]:
    return [finding.name for finding in judge(posture, expected) if finding.result == "open"]


def test_the_posture_that_must_be_has_no_open_finding() -> None:
    assert found_open(SOUND) == []


@pytest.mark.parametrize(
    ("difference", "name"),
    [
        ({"user_ids": frozenset({0})}, "posture: user"),
        ({"user_ids": frozenset({1000, 0})}, "posture: user"),
        ({"group_ids": frozenset({1000, 999})}, "posture: groups"),
        ({"user_map": ()}, "posture: users on the host"),
        ({"user_map": SHIFTED_USERS}, "posture: users on the host"),
        ({"group_map": SHIFTED_USERS}, "posture: groups on the host"),
        (
            {"status": {**SOUND.status, "CapBnd": "00000000a80425fb"}},
            "posture: capabilities capbnd",
        ),
        ({"status": {**SOUND.status, "CapEff": "1"}}, "posture: capabilities capeff"),
        (
            {"status": {name: told for name, told in SOUND.status.items() if name != "CapInh"}},
            "posture: capabilities capinh",
        ),
        ({"status": {**SOUND.status, "Seccomp": "0"}}, "posture: system-call filter"),
        ({"has_no_new_privileges": False}, "posture: no new privileges"),
        ({"host_name": "the-host"}, "posture: host name"),
        ({"mounts": {**SOUND.mounts, "/": frozenset({"rw"})}}, "posture: mount /"),
        ({"mounts": {**SOUND.mounts, "/sys": frozenset({"rw"})}}, "posture: mount /sys"),
        ({"mounts": {**SOUND.mounts, "/host": frozenset({"ro"})}}, "posture: mounts besides"),
        (
            {"mounts": {**SOUND.mounts, "/sys/fs/cgroup/cpu": frozenset({"rw"})}},
            "posture: mounts besides",
        ),
        ({"limits": {**SOUND.limits, "core": -1}}, "posture: limit core"),
        ({"limits": {**SOUND.limits, "nofile": 2**30}}, "posture: limit nofile"),
        ({"open_files": ("0", "1", "2", "7")}, "posture: open files"),
        ({"foreign_processes": ("1 of user 0",)}, "posture: processes of others"),
        ({"devices": frozenset({"null", "kvm"})}, "posture: devices besides the harmless"),
    ],
)
def test_each_difference_is_a_finding(difference: dict[str, Any], name: str) -> None:
    assert found_open(dataclasses.replace(SOUND, **difference)) == [name]


def test_where_the_engine_maps_users_the_box_must_show_it() -> None:
    assert found_open(SHIFTED, REMAPPED) == []
    assert found_open(SOUND, REMAPPED) == [
        "posture: users on the host",
        "posture: groups on the host",
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
    mounts = {**SOUND.mounts, "/proc/keys": frozenset({"rw"})}
    assert found_open(dataclasses.replace(SOUND, mounts=mounts)) == ["posture: mounts besides"]


def test_gvisor_shows_whole_maps_whatever_the_hosts_are() -> None:
    for owner in ((1000, 1000), (166_536, 266_536)):
        expected = expected_posture("runsc", owner=owner)
        names = {finding.name: finding.result for finding in judge(SOUND, expected)}
        assert names["posture: users on the host"] == "refused"
        names = {finding.name: finding.result for finding in judge(SHIFTED, expected)}
        assert names["posture: users on the host"] == "open"


def test_a_mount_that_is_missing_is_a_finding() -> None:
    mounts = {target: options for target, options in SOUND.mounts.items() if target != "/sys"}
    assert found_open(dataclasses.replace(SOUND, mounts=mounts)) == ["posture: mount /sys"]


def test_mounts_are_read_by_target_the_last_one_counting() -> None:
    text = (
        "1 0 8:1 / / ro,relatime shared:1 - ext4 /dev/sda ro\n"
        "2 1 0:5 / /a\\040b rw,nosuid - tmpfs tmpfs rw\n"
        "3 2 0:6 / / rw - tmpfs tmpfs rw\n"
    )
    assert parse_mounts(text) == {"/": frozenset({"rw"}), "/a b": frozenset({"rw", "nosuid"})}


@given(st.text(alphabet=st.characters(blacklist_characters="\n \\"), min_size=1, max_size=20))
def test_any_target_is_read(target: str) -> None:
    line = f"1 0 8:1 / /{target} ro - ext4 x rw"
    if len(line.splitlines()) == 1:
        assert list(parse_mounts(line)) == [f"/{target}"]


def test_this_process_can_be_read_and_is_not_a_box() -> None:
    posture = read_posture()
    assert "/" in posture.mounts
    assert posture.status["Seccomp"] in {"0", "2"}
    assert found_open(posture) != []


def test_the_file_has_both_runtimes_and_the_same_shape() -> None:
    path = Path(__file__).parents[4] / "src/hakoiri/workspace_agent/probe/posture.json"
    everything = json.loads(path.read_text())
    assert set(everything) == {"runc", "runc remapped", "runsc", "runsc remapped"}
    assert set(everything["runc"]) == set(everything["runsc"])
    assert set(everything["runc remapped"]) <= set(everything["runc"])
    assert everything["runsc remapped"] == {}
