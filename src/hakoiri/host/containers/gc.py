"""Which containers may go, and which may be frozen, purely. Their workspaces stay."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Self

from hakoiri.wire.guard import CONTAINER_ID_PATTERN
from hakoiri.wire.keeping import Keeping

_OURS: Final = re.compile(CONTAINER_ID_PATTERN)


class Reason(StrEnum):
    """Why a container is removed; the value is a metric's label."""

    IDLE = "idle"
    """Its conversation was silent for the idle timeout."""

    LIFETIME = "lifetime"
    """It lived for as long as one may, and pauses between two turns."""

    DEAD = "dead"
    """It ended by itself between two turns."""

    STRAY = "stray"
    """It is ours, but nobody's: container, directories or socket, whichever were left."""


@dataclass(frozen=True, slots=True)
class GcLimits:
    """Bounds in seconds; `pause_after_s` is None where nothing is to be frozen."""

    idle_timeout_s: float
    lifetime_s: float
    pause_after_s: float | None
    stray_grace_s: float
    idle_timeout_max_s: float = 0
    """What a policy may ask for where it asks for more than the usual."""

    def under(self, asked: Keeping | None) -> Self:
        """Return what counts for a container whose policy asks for this: the tighter one each."""
        if asked is None:
            return self
        most_idle_s = max(self.idle_timeout_s, self.idle_timeout_max_s)
        pause_after_s = min(
            (one for one in (asked.pause_after_s, self.pause_after_s) if one is not None),
            default=None,
        )
        return replace(
            self,
            idle_timeout_s=min(asked.idle_timeout_s or self.idle_timeout_s, most_idle_s),
            lifetime_s=min(asked.lifetime_s or self.lifetime_s, self.lifetime_s),
            pause_after_s=pause_after_s,
        )


@dataclass(frozen=True, slots=True)
class Member:
    """A claimed container; times are monotonic seconds.

    `idle_since_s` is None while a turn uses it. `is_unsaved`: it holds the only copy of files.
    `is_lost`: it has ended, and nobody has to ask the engine. `asked`: what its policy says.
    """

    container_id: str
    workspace_id: str
    started_at_s: float
    idle_since_s: float | None
    is_frozen: bool = False
    is_unsaved: bool = False
    is_lost: bool = False
    asked: Keeping | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """A container that may go, if its files are saved."""

    member: Member
    reason: Reason


def due(
    members: Iterable[Member], *, running: Collection[str] | None, now_s: float, limits: GcLimits
) -> list[Due]:
    """Return who may go now: never one that a turn uses, which ends or recovers by itself.

    `running` are the containers that the engine says run; None where it was not asked.
    """
    found = []
    for member in members:
        if member.idle_since_s is None:
            continue
        own = limits.under(member.asked)
        if member.is_lost or (running is not None and member.container_id not in running):
            found.append(Due(member, Reason.DEAD))
        elif now_s - member.idle_since_s >= own.idle_timeout_s:
            found.append(Due(member, Reason.IDLE))
        elif is_too_old(member, now_s=now_s, limits=limits):
            found.append(Due(member, Reason.LIFETIME))
    return found


def is_too_old(member: Member, *, now_s: float, limits: GcLimits) -> bool:
    """Whether a container has lived for as long as one may."""
    return now_s - member.started_at_s >= limits.under(member.asked).lifetime_s


def to_freeze(members: Iterable[Member], *, now_s: float, limits: GcLimits) -> list[Member]:
    """Return the containers that have been idle long enough to be frozen."""
    found = []
    for member in members:
        pause_after_s = limits.under(member.asked).pause_after_s
        if pause_after_s is None or member.idle_since_s is None or member.is_frozen:
            continue
        if now_s - member.idle_since_s >= pause_after_s:
            found.append(member)
    return found


def strays(
    present: Iterable[str],
    *,
    owned: frozenset[str],
    left_over: frozenset[str],
    first_seen: Mapping[str, float],
    now_s: float,
    limits: GcLimits,
) -> tuple[list[str], dict[str, float]]:
    """Return the containers that nobody owns and that may go, and when each was first seen so.

    `present` has all ids for which there is a container, a directory or a socket; what has not the
    form of our ids is somebody else's. `owned` has those in the server's hands: live, warm, being
    started or removed. A slow start loses nothing: it is owned, and the grace is longer than any.
    What this server itself could not remove is `left_over`: nobody can be about it, it gets none.
    """
    seen = {
        container_id: first_seen.get(container_id, now_s)
        for container_id in present
        if container_id not in owned and _OURS.fullmatch(container_id)
    }
    overdue = {one for one, since_s in seen.items() if now_s - since_s >= limits.stray_grace_s}
    return sorted(overdue | (seen.keys() & left_over)), seen
