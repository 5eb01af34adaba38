from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.docker_guard.ownership import PLAIN, IdMaps, Owner, contradiction, owner_told_by
from hakoiri.docker_guard.refusal import CallRefusedError
from hakoiri.wire.guard import HOST_ID_LIMIT, BoxDirectories
from hakoiri.wire.id_map import WHOLE, IdRange

REMAPPED = {
    "SecurityOptions": ["name=seccomp,profile=default", "name=userns"],
    "DockerRootDir": "/var/lib/docker/165536.265536",
}


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"SecurityOptions": None},
        {"SecurityOptions": ["name=seccomp,profile=default"], "DockerRootDir": "/var/lib/docker"},
        # a directory that only looks like it: the engine's word counts
        {"SecurityOptions": [], "DockerRootDir": "/var/lib/docker/165536.165536"},
    ],
)
def test_without_userns_remap_ids_are_the_hosts(info: dict[str, Any]) -> None:
    assert owner_told_by(info) == PLAIN == Owner(1000, 1000, 0)


def test_with_it_they_are_counted_from_the_roots_ids_users_and_groups_apart() -> None:
    assert owner_told_by(REMAPPED) == Owner(166_536, 266_536, 265_536)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"DockerRootDir": "/var/lib/docker"}, "not named"),
        ({"DockerRootDir": ""}, "not named"),
        ({"DockerRootDir": "/var/lib/docker/165536.165536/deeper"}, "not named"),
        ({"DockerRootDir": "/var/lib/docker/165536.x"}, "not named"),
        ({"DockerRootDir": "/var/lib/docker/0.165536"}, "never gives"),
        ({"DockerRootDir": "/var/lib/docker/165536.0"}, "never gives"),
        ({"DockerRootDir": f"/d/{HOST_ID_LIMIT - 999}.165536"}, "never gives"),
        ({"SecurityOptions": ["name=userns", "name=rootless"]}, "rootless"),
    ],
)
def test_what_cannot_be_told_is_refused(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(CallRefusedError, match=why) as refused:
        owner_told_by(REMAPPED | changed)
    assert refused.value.code == "user-namespace"


@given(st.integers(0, 2**34), st.integers(0, 2**34))
def test_whatever_is_told_can_go_over_the_wire(uid: int, gid: int) -> None:
    try:
        owner = owner_told_by(REMAPPED | {"DockerRootDir": f"/d/{uid}.{gid}"})
    except CallRefusedError:
        return
    BoxDirectories(workspace="/w", home="/h", agent="/a", owner_uid=owner.uid, owner_gid=owner.gid)


@pytest.mark.parametrize(
    ("uid", "gid", "holds"),
    [
        (IdRange(0, 165_536, 65_536), IdRange(0, 265_536, 65_536), True),
        (IdRange(0, 0, 2**32 - 1), IdRange(0, 265_536, 65_536), False),
        (IdRange(0, 165_536, 65_536), IdRange(0, 0, 2**32 - 1), False),
        (IdRange(0, 165_536, 1000), IdRange(0, 265_536, 65_536), False),
        (IdRange(0, 165_537, 65_536), IdRange(0, 265_536, 65_536), False),
    ],
)
def test_a_process_is_the_owners_by_user_and_by_group(
    uid: IdRange, gid: IdRange, *, holds: bool
) -> None:
    assert IdMaps((uid,), (gid,)).owns(Owner(166_536, 266_536, 265_536)) is holds


def test_a_contradiction_tells_both_sides_and_the_mend() -> None:
    said = str(contradiction(Owner(166_536, 266_536, 265_536), IdMaps(WHOLE, WHOLE)))
    assert "166536:266536" in said
    assert "uid_map 0 0 4294967295" in said
    assert "/etc/subuid" in said
    assert "shows nothing" in str(contradiction(PLAIN, None))
