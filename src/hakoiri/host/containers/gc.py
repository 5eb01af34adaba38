"""Which containers may go, and which may be frozen, purely. Their workspaces stay."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hakoiri.wire.guard import CONTAINER_ID_PATTERN

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


@dataclass(frozen=True, slots=True)
class Member:
    """A claimed container; times are monotonic seconds.

    `idle_since_s` is None while a turn uses it. `is_unsaved`: it holds the only copy of files.
    `is_lost`: it has ended, and nobody has to ask the engine.
    """

    container_id: str
    workspace_id: str
    started_at_s: float
    idle_since_s: float | None
    is_frozen: bool = False
    is_unsaved: bool = False
    is_lost: bool = False


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
        if member.is_lost or (running is not None and member.container_id not in running):
            found.append(Due(member, Reason.DEAD))
        elif now_s - member.idle_since_s >= limits.idle_timeout_s:
            found.append(Due(member, Reason.IDLE))
        elif now_s - member.started_at_s >= limits.lifetime_s:
            found.append(Due(member, Reason.LIFETIME))
    return found


def to_freeze(members: Iterable[Member], *, now_s: float, limits: GcLimits) -> list[str]:
    """Return the workspaces whose containers have been idle long enough to be frozen."""
    pause_after_s = limits.pause_after_s
    if pause_after_s is None:
        return []
    return [
        member.workspace_id
        for member in members
        if member.idle_since_s is not None
        and not member.is_frozen
        and now_s - member.idle_since_s >= pause_after_s
    ]


def strays(
    present: Iterable[str],
    *,
    owned: frozenset[str],
    first_seen: Mapping[str, float],
    now_s: float,
    limits: GcLimits,
) -> tuple[list[str], dict[str, float]]:
    """Return the containers that nobody has owned for the grace, and when each was first seen so.

    `present` has all ids for which there is a container, a directory or a socket; what has not the
    form of our ids is somebody else's. `owned` has those in the server's hands: live, warm, being
    started or removed. A slow start loses nothing: it is owned, and the grace is longer than any.
    """
    seen = {
        container_id: first_seen.get(container_id, now_s)
        for container_id in present
        if container_id not in owned and _OURS.fullmatch(container_id)
    }
    overdue = [one for one, since_s in seen.items() if now_s - since_s >= limits.stray_grace_s]
    return sorted(overdue), seen
