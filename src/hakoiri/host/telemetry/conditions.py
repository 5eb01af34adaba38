"""How the server says that a part does not serve, or that something works less well; purely.

Each says what it is, why, and what mends it: who is woken by it should not have to look that up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hakoiri.host.telemetry.health_metrics import Part

MENDS: Final[Mapping[Part, str]] = {
    "engine": (
        "see that the engine answers (`docker info`) and what the docker guard said last; "
        "`hakoiri doctor` tells what the host lacks"
    ),
    "proxy": (
        "see what the proxy said last; its file (HAKOIRI_PROXY__FILE) and the secrets that it "
        "names must be readable for it"
    ),
    "database": "see that the database of HAKOIRI_DATABASE_URL answers and that its disk has room",
    "objects": "see that the store of HAKOIRI_OBJECT_STORE_URL can be reached, read and written",
    "audit": (
        "make room on the disk of HAKOIRI_AUDIT__DIR; until then nothing begins that could not be "
        "recorded, and what runs waits in memory with its lines"
    ),
    "coordination": (
        "see that Redis (HAKOIRI_REDIS_URL) answers and takes the credentials, or set "
        "HAKOIRI_COORDINATION__WHEN_AWAY=local on an installation's only server"
    ),
}
"""What to do about each part that does not serve."""


@dataclass(frozen=True, slots=True)
class PartAnswer:
    """A part that was asked; it serves if there are no reasons why not."""

    part: Part
    reasons: tuple[str, ...] = ()

    @property
    def mend(self) -> str:
        """What to do about it; nothing if it serves."""
        return MENDS[self.part] if self.reasons else ""


@dataclass(frozen=True, slots=True)
class Degradation:
    """What works less well than it should, while turns start all the same."""

    what: str
    reason: str
    mend: str
