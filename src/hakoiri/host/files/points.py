"""What is recorded of a recovery point beside its manifest, and for how long. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class PointReason(StrEnum):
    """Why a recovery point was made."""

    TURN_END = "turn-end"
    """A turn has ended."""

    RUNNING = "running"
    """A turn went on."""

    CONTAINER_LOST = "container-lost"
    """A turn lost its container; this is what it left."""

    CHANGED = "changed"
    """A command ran, or a file was written or removed from outside."""

    BEFORE_REMOVAL = "before-removal"
    """The container was about to go: idle, too old, or dead."""

    ON_DEMAND = "on-demand"
    """Somebody asked for it."""

    BEFORE_RESTORE = "before-restore"
    """What was there before the workspace was put back to another point."""

    RESTORED = "restored"
    """The workspace was put back to an older point, whose files these are."""

    FORKED = "forked"
    """The workspace began with the files of a point of another."""

    EARLIER = "earlier"
    """It was the newest when recovery points began to be listed."""


@dataclass(frozen=True, slots=True)
class NewPoint:
    """What is recorded when a head moves: `files` counts regular files, `file_bytes` their size."""

    created: datetime
    parent: str | None
    files: int
    file_bytes: int
    reason: PointReason


@dataclass(frozen=True, slots=True)
class RecoveryPoint:
    """One recovery point of a workspace's list.

    `number` orders a workspace's points, `turn` is that of the event `event_number`, 0 without one.
    `files` and `file_bytes` are None for a point that was made before points were listed.
    """

    id: str
    workspace_id: str
    number: int
    created_at: datetime
    event_number: int
    turn: int
    generation: int
    files: int | None
    file_bytes: int | None
    reason: PointReason
    is_kept: bool
    parent: str | None
    is_head: bool


@dataclass(frozen=True, slots=True)
class Retention:
    """How many points a workspace's list holds beside those that somebody keeps.

    The newest `points` of them, of which the newest `running_points` from within turns, and none
    that ceased to be the newest longer than `max_age` ago (None: however long). The head always
    stays. At most `kept_points` are kept for good.
    """

    points: int = 100
    running_points: int = 20
    max_age: timedelta | None = timedelta(days=30)
    kept_points: int = 100


DEFAULT_RETENTION: Final = Retention()

FLEETING: Final = (PointReason.RUNNING, PointReason.CONTAINER_LOST)
"""Why a point was made from within a turn."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What the decision needs to know of a point."""

    number: int
    created_at: datetime
    reason: PointReason
    is_kept: bool


def expired(points: Iterable[Listed], *, retention: Retention, now: datetime) -> list[int]:
    """Return the numbers of the points that leave the list; never the newest's, the head.

    A point's age counts from when the next one took its place: what a workspace was for a year
    until yesterday is what somebody may want to go back to.
    """
    newest_first = sorted(points, key=lambda point: point.number, reverse=True)
    gone: list[int] = []
    held, running, max_age = 1, 0, retention.max_age
    for point, successor in zip(newest_first[1:], newest_first, strict=False):
        if point.is_kept:
            continue
        is_fleeting = point.reason in FLEETING
        if (
            held >= retention.points
            or (max_age is not None and now - successor.created_at > max_age)
            or (is_fleeting and running >= retention.running_points)
        ):
            gone.append(point.number)
            continue
        held += 1
        running += is_fleeting
    return gone
