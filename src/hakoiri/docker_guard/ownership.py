"""Who owns what is in a box, as the host numbers users, purely.

With `userns-remap` a box's ids are others on the host. The engine tells so in `GET /info`, and
names its root directory by the host's ids of a container's root (moby `daemon/daemon_unix.go`,
`setupDaemonRoot`): `/var/lib/docker/165536.165536`. What `/etc/subuid` says is not asked: the
engine read it when it started, perhaps elsewhere, and it may say something else by now. What a
process has got is in its own `uid_map`; the two must agree.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from hakoiri.docker_guard.refusal import CallRefusedError
from hakoiri.wire.guard import CONTAINER_GID, CONTAINER_UID, HOST_ID_LIMIT
from hakoiri.wire.id_map import IdRange, outside_id

_ROOT_IDS: Final = re.compile(r"([0-9]{1,10})\.([0-9]{1,10})")


@dataclass(frozen=True, slots=True)
class Owner:
    """The host's ids for the user that a box's processes run as."""

    uid: int
    gid: int
    root_gid: int
    """The group of a container's root: gVisor's gofer, being that, looks up what is mounted."""


@dataclass(frozen=True, slots=True)
class IdMaps:
    """How one process's ids are numbered on the host."""

    uid: Sequence[IdRange]
    gid: Sequence[IdRange]

    def owns(self, owner: Owner) -> bool:
        """Whether the user in the box is `owner` here."""
        user, group = outside_id(self.uid, CONTAINER_UID), outside_id(self.gid, CONTAINER_GID)
        return (user, group) == (owner.uid, owner.gid)


PLAIN: Final = Owner(CONTAINER_UID, CONTAINER_GID, 0)
"""Where ids in a container are the host's own."""


def owner_told_by(info: Mapping[str, Any]) -> Owner:
    """Return who owns boxes, from the engine's `GET /info`; `CallRefusedError` if it cannot be."""
    options = {
        part
        for option in info.get("SecurityOptions") or ()
        for part in str(option).split(",")
        if part.startswith("name=")
    }
    if "name=rootless" in options:
        raise _unknown("a rootless engine is not supported")
    if "name=userns" not in options:
        return PLAIN
    directory = PurePosixPath(str(info.get("DockerRootDir") or "")).name
    found = _ROOT_IDS.fullmatch(directory)
    if found is None:
        raise _unknown(
            "the engine says that it has userns-remap, but its root directory is not named "
            "UID.GID, so that nobody can tell who a container's user is"
        )
    root_uid, root_gid = int(found[1]), int(found[2])
    owner = Owner(root_uid + CONTAINER_UID, root_gid + CONTAINER_GID, root_gid)
    if not (root_uid and root_gid) or max(owner.uid, owner.gid) > HOST_ID_LIMIT:
        raise _unknown(
            f"the engine's root directory says that {directory} is a container's root, which "
            "userns-remap never gives"
        )
    return owner


def contradiction(owner: Owner, shown: IdMaps | None) -> CallRefusedError:
    """Return why a container that was started may not go on."""
    seen = "nothing" if shown is None else f"uid_map {_told(shown.uid)}, gid_map {_told(shown.gid)}"
    return _unknown(
        f"the engine says that a container's user is {owner.uid}:{owner.gid} on the host, its "
        f"process shows {seen}; the container was removed. A user of userns-remap needs one range "
        "of at least 65536 ids in /etc/subuid and /etc/subgid"
    )


def _told(ranges: Sequence[IdRange]) -> str:
    return ", ".join(f"{one.inside} {one.outside} {one.count}" for one in ranges[:3]) or "none"


def _unknown(why: str) -> CallRefusedError:
    return CallRefusedError("user-namespace", why, status=500)
