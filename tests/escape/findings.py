"""What an attack showed, and which areas a whole run must have shown. Pure.

A check is one attack under one runtime. Areas without a check count as open: what was not tried is
not known to hold.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

RUNTIMES: Final = ("runc", "runsc")
EITHER: Final = "-"
"""The runtime of a check that no container takes part in."""

AREAS: Final = {
    "network-egress": "Network egress",
    "metadata-address": "Metadata address",
    "docker-socket": "Docker socket",
    "secrets": "Secrets in environment and files",
    "proxy-bypass": "Proxy bypass",
    "whitelist-bypass": "Whitelist bypass",
    "privilege-escalation": "Privilege escalation",
    "root-file-system": "Root file system write",
    "syscall-filter": "System-call filter",
    "neighbour-workspace": "Neighbour workspace",
    "resource-exhaustion": "Resource exhaustion",
    "posture": "Posture of the box",
    "taken-over-agent": "A taken-over agent",
    "hostile-files": "Hostile workspace files",
    "docker-guard": "A taken-over server at the docker guard",
}
"""In the report's order."""

OF_NO_RUNTIME: Final = frozenset({"docker-guard"})
SEEN_LIMIT_CHARS: Final = 240

_MACHINE: Final = (
    (re.compile(r"\x1b\[[0-9;]*m"), ""),
    (re.compile(r"/(?:tmp|var/tmp|root|home/(?!agent\b)[^/\s]+)/[^\s'\",;)]*"), "<path>"),
    (re.compile(r"\b(?:sha256:)?[0-9a-f]{64}\b"), "<id>"),
    (re.compile(r"\bc[0-9a-f]{16}\b"), "<container>"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "<instance>"),
    (re.compile(r"(127\.0\.0\.1|localhost|example\.test):\d{4,5}\b"), r"\1:<port>"),
)
"""What differs between two runs, or tells of the machine."""


@dataclass(frozen=True, slots=True)
class Check:
    """One attack, what was to be seen, and what was."""

    area: str
    runtime: str
    name: str
    command: str
    expected: str
    seen: str
    held: bool

    def __post_init__(self) -> None:
        """Refuse an area or a runtime that the report does not know."""
        if self.area not in AREAS or self.runtime not in (*RUNTIMES, EITHER):
            raise ValueError(f"{self.name}: no such area or runtime: {self.area}, {self.runtime}")


def plain(text: str) -> str:
    """Make one bounded line of what was seen, without what only this machine or run has."""
    for pattern, word in _MACHINE:
        text = pattern.sub(word, text)
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= SEEN_LIMIT_CHARS else line[: SEEN_LIMIT_CHARS - 1] + "…"


def open_checks(checks: Iterable[Check]) -> list[Check]:
    """Return the attacks that went through."""
    return [check for check in checks if not check.held]


def untried(checks: Sequence[Check]) -> list[tuple[str, str]]:
    """Return each area and runtime that no check tells of."""
    tried = {(check.area, check.runtime) for check in checks}
    return [
        (area, runtime)
        for area in AREAS
        for runtime in ((EITHER,) if area in OF_NO_RUNTIME else RUNTIMES)
        if (area, runtime) not in tried
    ]
