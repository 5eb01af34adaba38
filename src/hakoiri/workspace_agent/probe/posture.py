"""How the box must stand. What must be is in `posture.json`, and any difference is a finding.

What only who asks can know, it says: whom the engine makes of the box's user, in which namespaces
it is itself, which limits and which label the box was given. `told` stands in their place in the
file.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hakoiri.wire.box import CONTAINER_GID, CONTAINER_UID, Namespace
from hakoiri.wire.id_map import WHOLE, IdRange, outside_id
from hakoiri.workspace_agent.probe.asked import Asked
from hakoiri.workspace_agent.probe.attempt import Finding
from hakoiri.workspace_agent.probe.standing import Standing

TOLD: Final = "told"
INITIAL_NAMESPACES: Final[dict[Namespace, int]] = {
    "cgroup": 0xEFFF_FFFB,
    "ipc": 0xEFFF_FFFF,
    "mnt": 0xEFFF_FFF8,
    "net": 0xEFFF_FFF9,
    "pid": 0xEFFF_FFFC,
    "time": 0xEFFF_FFFA,
    "user": 0xEFFF_FFFD,
    "uts": 0xEFFF_FFFE,
}
"""The numbers of the namespaces that a machine boots with (Linux, uapi `nsfs.h`; `mnt` and `net`
have them in young kernels only). Who asks may itself be in a container, and tell others."""


def expected_posture(asked: Asked) -> dict[str, Any]:
    """Return what `posture.json` says for a runtime, with what who asks has told put in.

    Where the box's user is not the same number on the host, the engine maps users, and what is said
    of the runtime `remapped` holds instead.
    """
    everything = json.loads(Path(__file__).with_name("posture.json").read_text(encoding="utf-8"))
    owner = (asked.owner_uid, asked.owner_gid)
    expected = dict(everything[asked.runtime])
    if owner != (CONTAINER_UID, CONTAINER_GID):
        remapped = everything[f"{asked.runtime} remapped"]
        for name, said in remapped.items():
            expected[name] = expected[name] | said if isinstance(said, dict) else said
    told = {"nofile": [asked.open_files] * 2, "fsize": [asked.file_limit_bytes] * 2}
    limits = {
        name: told[name] if said == TOLD else said for name, said in expected["limits"].items()
    }
    label = asked.apparmor if expected["apparmor"] == TOLD else expected["apparmor"]
    return expected | {
        "owner": owner,
        "limits": limits,
        "apparmor": label,
        "namespaces of who asks": dict(asked.namespaces),
    }


def judge(standing: Standing, expected: Mapping[str, Any]) -> list[Finding]:
    """Compare what is with what must be; each difference is an open finding."""
    user_id = expected["user_id"]
    host_uid, host_gid = expected["owner"]
    return [
        _finding("user", standing.user_ids == {user_id}, sorted(standing.user_ids)),
        _finding("groups", standing.group_ids == {user_id}, sorted(standing.group_ids)),
        _judge_ids("users", standing.user_map, expected, host_id=host_uid),
        _judge_ids("groups", standing.group_map, expected, host_id=host_gid),
        *_judge_namespaces(standing.namespaces, expected),
        *_judge_rights(standing, expected),
        _finding("host name", standing.host_name == expected["host_name"], standing.host_name),
        *_judge_mounts(standing.mounts, expected),
        _judge_masked(standing, expected["masked"]),
        *_judge_limits(standing.limits, expected["limits"]),
        _judge_list("open files", standing.open_files, expected["open_files"]),
        _judge_devices(standing.devices, expected["devices"]),
        _judge_list("processes of others", standing.foreign_processes, []),
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


def _judge_namespaces(
    namespaces: Mapping[str, int] | None, expected: Mapping[str, Any]
) -> Iterator[Finding]:
    """`own` is neither that of who asks nor the machine's first; `shared` is one of these two."""
    wanted = expected["namespaces"]
    yield _judge_list(
        "namespaces", None if namespaces is None else sorted(namespaces), sorted(wanted)
    )
    for kind, word in wanted.items():
        number = (namespaces or {}).get(kind)
        asker = expected["namespaces of who asks"].get(kind)
        if number is None or asker is None:
            yield Finding(f"posture: namespace {kind}", "open", "its number is not known")
            continue
        is_others = number in {asker, INITIAL_NAMESPACES[kind]}
        seen = "who asks is in it, or the host" if is_others else "its own"
        yield _finding(f"namespace {kind}", is_others == (word == "shared"), seen)


def _judge_rights(standing: Standing, expected: Mapping[str, Any]) -> Iterator[Finding]:
    for name, mask in expected["capabilities"].items():
        told = standing.capabilities.get(name)
        yield _finding(f"capabilities {name.lower()}", told == mask, told or "not told")
    bar = standing.has_no_new_privileges
    yield _finding(
        "no new privileges", bar == expected["no_new_privileges"], "set" if bar else "not set"
    )
    mode = standing.filter_mode
    yield _finding("system-call filter", mode == expected["filter_mode"], f"mode {mode}")
    label = standing.apparmor
    yield _finding("AppArmor label", label == expected["apparmor"], label or "none")


def _judge_mounts(
    mounts: Mapping[str, frozenset[str]], expected: Mapping[str, Any]
) -> Iterator[Finding]:
    for target, options in expected["mounts"].items():
        if target not in mounts:
            yield Finding(f"posture: mount {target}", "open", "there is no such mount")
            continue
        missing = sorted({*options} - mounts[target])
        yield _finding(
            f"mount {target}",
            not missing,
            f"lacks {', '.join(missing)}" if missing else ",".join(sorted(mounts[target])),
        )
    unexpected = [
        target
        for target, options in mounts.items()
        if target not in expected["mounts"]
        and not any(Path(target).match(path) for path in expected["masked"]["paths"])
        and not any(
            target.startswith(parent) and {*least} <= options
            for parent, least in expected["mounts_below"].items()
        )
    ]
    yield _finding("mounts besides", not unexpected, sorted(unexpected)[:20])


def _judge_masked(standing: Standing, expected: Mapping[str, Any]) -> Finding:
    """What is there shows nothing; where it is the engine that masks, something lies over it."""
    shown = [
        path
        for path, is_nothing in standing.masked.items()
        if not is_nothing or (expected["by"] == "mounts" and path not in standing.mounts)
    ]
    return _finding("masked paths", not shown, sorted(shown)[:20] or f"{len(standing.masked)}")


def _judge_devices(devices: frozenset[str], expected: Sequence[str]) -> Finding:
    others = sorted(devices - {*expected})
    return _finding("devices besides the harmless", not others, others)


def _judge_limits(
    limits: Mapping[str, tuple[int, int]], expected: Mapping[str, Sequence[int]]
) -> Iterator[Finding]:
    for name, (soft, hard) in expected.items():
        seen = limits[name]
        yield _finding(f"limit {name}", seen == (soft, hard), f"{seen[0]}, at most {seen[1]}")


def _judge_list(name: str, seen: Sequence[str] | None, expected: Sequence[str]) -> Finding:
    if seen is None:
        return Finding(f"posture: {name}", "open", "it cannot be read")
    return _finding(name, [*seen] == [*expected], list(seen))


def _finding(name: str, is_held: bool, seen: object) -> Finding:  # noqa: FBT001 - the judgement
    told = ", ".join(map(str, seen)) if isinstance(seen, list | tuple) else str(seen)
    return Finding(f"posture: {name}", "refused" if is_held else "open", told[:400] or "none")
