"""How the box must stand: rights, mounts, limits, processes. What must be is in `posture.json`.

The reading is apart from the judging, so that every difference can be tested. Whether the engine
maps users (`userns-remap`) is not guessed from what is seen: who asks says who owns the box on the
host, as the engine said it, and the box's own id maps must say the same.
"""

import ctypes
import json
import os
import resource
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hakoiri.wire.guard import CONTAINER_GID, CONTAINER_UID
from hakoiri.wire.id_map import WHOLE, IdRange, outside_id, parse_id_map
from hakoiri.workspace_agent.probe.attempt import Finding

_GET_NO_NEW_PRIVILEGES: Final = 39
"""prctl(2)'s PR_GET_NO_NEW_PRIVS."""

_ESCAPES: Final = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))
_CAPABILITY_SETS: Final = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


@dataclass(frozen=True, slots=True)
class Posture:
    """What was read. `mounts` are options by target, `limits` are hard limits by name."""

    user_ids: frozenset[int]
    group_ids: frozenset[int]
    user_map: tuple[IdRange, ...]
    group_map: tuple[IdRange, ...]
    status: Mapping[str, str]
    has_no_new_privileges: bool
    host_name: str
    mounts: Mapping[str, frozenset[str]]
    limits: Mapping[str, int]
    open_files: tuple[str, ...]
    foreign_processes: tuple[str, ...]
    devices: frozenset[str]


def read_posture() -> Posture:
    """Read how this process stands, before it opens anything of its own."""
    open_files = _open_files()
    status = _pairs(Path("/proc/self/status").read_text(encoding="ascii", errors="replace"))
    return Posture(
        user_ids=frozenset(os.getresuid()),
        group_ids=frozenset((*os.getresgid(), *os.getgroups())),
        user_map=_id_map("uid_map"),
        group_map=_id_map("gid_map"),
        status=status,
        has_no_new_privileges=ctypes.CDLL(None).prctl(_GET_NO_NEW_PRIVILEGES, 0, 0, 0, 0) == 1,
        host_name=socket.gethostname(),
        mounts=parse_mounts(Path("/proc/self/mountinfo").read_text(encoding="utf-8")),
        limits={
            "core": resource.getrlimit(resource.RLIMIT_CORE)[1],
            "nofile": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
            "fsize": resource.getrlimit(resource.RLIMIT_FSIZE)[1],
        },
        open_files=open_files,
        foreign_processes=tuple(_foreign_processes()),
        devices=frozenset(entry.name for entry in os.scandir("/dev")),
    )


def parse_mounts(mountinfo: str) -> dict[str, frozenset[str]]:
    """Return options by target; of targets mounted twice the last counts (proc(5), mountinfo)."""
    mounts = {}
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        target = fields[4]
        for escape, character in _ESCAPES:
            target = target.replace(escape, character)
        mounts[target] = frozenset(fields[5].split(","))
    return mounts


def expected_posture(runtime: str, *, owner: tuple[int, int]) -> dict[str, Any]:
    """Return what `posture.json` says for a runtime.

    `owner` are user and group of the box on the host. Where they are not the box's own numbers, the
    engine maps users, and what is said of the runtime `remapped` holds instead.
    """
    everything = json.loads(Path(__file__).with_name("posture.json").read_text(encoding="utf-8"))
    expected = dict(everything[runtime]) | {"owner": owner}
    if owner == (CONTAINER_UID, CONTAINER_GID):
        return expected
    remapped = dict(everything[f"{runtime} remapped"])
    below = expected["mounts_below"] | remapped.pop("mounts_below", {})
    return expected | remapped | {"mounts_below": below}


def judge(posture: Posture, expected: Mapping[str, Any]) -> list[Finding]:
    """Compare what is with what must be; each difference is an open finding."""
    user_id = expected["user_id"]
    host_uid, host_gid = expected["owner"]
    return [
        _finding("user", posture.user_ids == {user_id}, sorted(posture.user_ids)),
        _finding("groups", posture.group_ids == {user_id}, sorted(posture.group_ids)),
        _judge_ids("users", posture.user_map, expected, host_id=host_uid),
        _judge_ids("groups", posture.group_map, expected, host_id=host_gid),
        *_judge_rights(posture),
        _finding("host name", posture.host_name == expected["host_name"], posture.host_name),
        *_judge_mounts(posture.mounts, expected["mounts"], expected["mounts_below"]),
        *_judge_limits(posture.limits, expected["limits"]),
        _finding("open files", posture.open_files in ((), ("0", "1", "2")), posture.open_files),
        _judge_devices(posture.devices, expected["devices"]),
        _finding("processes of others", not posture.foreign_processes, posture.foreign_processes),
    ]


def _judge_ids(
    whose: str, ranges: Sequence[IdRange], expected: Mapping[str, Any], *, host_id: int
) -> Finding:
    """Nobody in the box is anybody on the host, where the engine sees to that."""
    if expected["id_maps"] == "whole":  # the host's own; gVisor's are whole, whatever the host's
        is_held = ranges == WHOLE
    else:
        is_held = outside_id(ranges, expected["user_id"]) == host_id and all(
            one.outside >= expected["subordinate_from"] for one in ranges
        )
    told = [f"{one.inside} is {one.outside}, {one.count} of them" for one in ranges[:5]]
    return _finding(f"{whose} on the host", is_held, told)


def _judge_rights(posture: Posture) -> Iterator[Finding]:
    for name in _CAPABILITY_SETS:
        told = posture.status.get(name, "0" if name == "CapAmb" else "not told")
        yield _finding(f"capabilities {name.lower()}", told.strip("0") == "", told)
    yield _finding("no new privileges", posture.has_no_new_privileges, "set")
    told = posture.status.get("Seccomp", "not told")
    yield _finding("system-call filter", told == "2", f"mode {told}")


def _judge_mounts(
    mounts: Mapping[str, frozenset[str]],
    expected: Mapping[str, list[str]],
    below: Mapping[str, list[str]],
) -> Iterator[Finding]:
    for target, options in expected.items():
        if target not in mounts:
            yield Finding(f"posture: mount {target}", "open", "there is no such mount")
            continue
        missing = sorted({*options} - mounts[target])
        yield _finding(
            f"mount {target}",
            not missing,
            f"lacks {', '.join(missing)}" if missing else ",".join(sorted(mounts[target])),
        )
    others = [target for target in mounts if target not in expected]
    unexpected = [
        target
        for target in others
        if not any(
            target.startswith(parent) and {*options} <= mounts[target]
            for parent, options in below.items()
        )
    ]
    yield _finding("mounts besides", not unexpected, sorted(unexpected)[:20])


def _judge_devices(devices: frozenset[str], expected: Sequence[str]) -> Finding:
    others = sorted(devices - {*expected})
    return _finding("devices besides the harmless", not others, others)


def _judge_limits(limits: Mapping[str, int], expected: Mapping[str, int]) -> Iterator[Finding]:
    for name, most in expected.items():
        limit = limits[name]
        is_held = limit != resource.RLIM_INFINITY and limit <= most
        yield _finding(f"limit {name}", is_held, limit)


def _finding(name: str, is_held: bool, seen: object) -> Finding:  # noqa: FBT001 - the judgement
    told = ", ".join(map(str, seen)) if isinstance(seen, list | tuple) else str(seen)
    return Finding(f"posture: {name}", "refused" if is_held else "open", told[:400] or "none")


def _pairs(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _id_map(name: str) -> tuple[IdRange, ...]:
    try:
        return parse_id_map(Path("/proc/self", name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return ()


def _open_files() -> tuple[str, ...]:
    directory = Path("/proc/self/fd")
    try:
        names = [entry.name for entry in directory.iterdir()]
    except OSError:
        return ()
    # the listing's own descriptor is closed by now
    return tuple(sorted((name for name in names if (directory / name).exists()), key=int))


def _foreign_processes() -> Iterator[str]:
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            owner = directory.stat().st_uid
        except OSError:
            continue
        if owner != os.getuid():
            yield f"{directory.name} of user {owner}"
