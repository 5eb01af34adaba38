"""What a host that was set up by the guide cannot close, and what else it left open; purely."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Finding = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CannotClose:
    """A finding that may stand: its state, and words of its text, so that no other passes."""

    state: str
    words: str


OF_THE_ENGINE: Final = "production: "

ANYWHERE: Final[Mapping[str, CannotClose]] = {
    "production: audit key elsewhere": CannotClose("open", "somebody else keeps the key"),
    "production: several hosts": CannotClose("open", "on this host alone"),
    # no scanner can be had without the network: our own look was made, and found nothing
    "production: image scan": CannotClose("warning", "its layers are clean, but no scanner looked"),
}
"""Each is argued in docs/operations/production-checklist.md."""

UNDER: Final[Mapping[str, Mapping[str, CannotClose]]] = {
    # a host under one runtime has either the other's kernel or Falco's eyes to wish for
    "runc": {
        "production: gvisor": CannotClose("warning", "share the host's kernel"),
        "production: falco": CannotClose("warning", "no process of that name runs"),
    },
    "runsc": {
        "production: falco": CannotClose("open", "under gVisor it does not see"),
    },
}


_REFUSAL: Final = re.compile(r"^(?:<\d+>)?\[ *([0-9.]+)\].*apparmor=.DENIED")


def refusals(kernel_log: str, *, profile: str) -> list[tuple[float, str]]:
    """Return what the kernel told of refusals by the profile: seconds since its start, and line."""
    told = ((_REFUSAL.match(line), line) for line in kernel_log.splitlines())
    return [(float(found[1]), line) for found, line in told if found and profile in line]


def left_open(findings: Iterable[Finding], *, runtime: str) -> list[Finding]:
    """Return what is neither `ok` nor among what such a host cannot close."""
    allowed = {**ANYWHERE, **UNDER[runtime]}
    return [one for one in findings if one["state"] != "ok" and not _may_stand(one, allowed)]


def _may_stand(finding: Finding, allowed: Mapping[str, CannotClose]) -> bool:
    known = allowed.get(finding["name"])
    return known is not None and finding["state"] == known.state and known.words in finding["text"]
