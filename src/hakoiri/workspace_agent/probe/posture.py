"""How the box must stand: rights, mounts, limits, processes. What must be is in `posture.json`.

The reading is apart from the judging, so that every difference can be tested.
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


def expected_posture(runtime: str) -> dict[str, Any]:
    """Return the part of `posture.json` for a runtime."""
    everything = json.loads(Path(__file__).with_name("posture.json").read_text(encoding="utf-8"))
    return dict(everything[runtime])


def judge(posture: Posture, expected: Mapping[str, Any]) -> list[Finding]:
    """Compare what is with what must be; each difference is an open finding."""
    return [
        _finding("user", posture.user_ids == {expected["user_id"]}, sorted(posture.user_ids)),
        _finding("groups", posture.group_ids == {expected["user_id"]}, sorted(posture.group_ids)),
        *_judge_rights(posture),
        _finding("host name", posture.host_name == expected["host_name"], posture.host_name),
        *_judge_mounts(posture.mounts, expected["mounts"], expected["mounts_below"]),
        *_judge_limits(posture.limits, expected["limits"]),
        _finding("open files", posture.open_files in ((), ("0", "1", "2")), posture.open_files),
        _judge_devices(posture.devices, expected["devices"]),
        _finding("processes of others", not posture.foreign_processes, posture.foreign_processes),
    ]


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
