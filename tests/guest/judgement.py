"""What the guest's records say, judged purely."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

Record = Mapping[str, Any]

REFUSALS: Final = frozenset({1, 13})
"""EPERM and EACCES: what AppArmor answers (apparmor(7))."""

_PID: Final = re.compile(r"\bpid=(\d+)")
_PROFILE: Final = re.compile(r'\bprofile="([^"]*)"')


def of_kind(records: Iterable[Record], kind: str, name: str) -> Record:
    """Return the one record of that kind and name."""
    found = [one for one in records if one["kind"] == kind and one.get("name") == name]
    if len(found) != 1:
        raise LookupError(f"{len(found)} records {kind} {name}")
    return found[0]


def refused_by(profile: str, tried: Record) -> dict[str, str]:
    """Return the acts that AppArmor refused, and said so for that process, with what it said."""
    said: dict[int, str] = {}
    for line in tried["log"]:
        pid, named = _PID.search(line), _PROFILE.search(line)
        if pid and named and 'apparmor="DENIED"' in line and named[1] == profile:
            said.setdefault(int(pid[1]), line)
    return {
        act["act"]: said[act["pid"]]
        for act in tried["acts"]
        if act["error"] in REFUSALS and act["pid"] in said
    }


def not_refused(profile: str, *, control: Record, tried: Record) -> dict[str, str]:
    """Return the acts that the profile does not refuse, or of which that cannot be said; and why.

    `control` are the same acts in the same container without a profile: each must work there.
    """
    refused = refused_by(profile, tried)
    without = {act["act"]: act for act in control["acts"]}
    under = {act["act"]: act for act in tried["acts"]}
    faults = {}
    for name in sorted({*without, *under}):
        if name not in without or name not in under:
            faults[name] = "it was not tried in both"
        elif without[name]["error"] != 0:
            faults[name] = f"it does not work without a profile: {without[name]['text']}"
        elif name not in refused:
            faults[name] = f"{under[name]['error']} {under[name]['text']}, no record of a refusal"
    return faults


def confined(labels: Sequence[str]) -> set[str]:
    """Return the labels of a container's processes; none is a fault."""
    if not labels:
        raise LookupError("no process was looked at")
    return set(labels)


def numbers_of(text: str) -> dict[str, int]:
    """Return the lines `NAME NUMBER` of a control group's file."""
    return {name: int(number) for name, number in (line.split() for line in text.splitlines())}
