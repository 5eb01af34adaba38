"""Who was struck and when, as the time line tells it. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

NOBODY: Final = "nobody was there"
GONE: Final = "could not be killed"
SILENT: Final = "does not answer"
MISSES: Final = (NOBODY, GONE, SILENT)
"""How a disturbance says that it hit nobody."""

LONG_S: Final = 600.0
"""A storm of this length hits each kind, or the kind does not do what it is there for."""

_BOX: Final = re.compile(r"\bhakoiri-(c[0-9a-f]{16})\b")


@dataclass(slots=True)
class Hit:
    """What was struck; `until` is None while it is away. `boxes` are the containers it hit."""

    kind: str
    at: datetime
    until: datetime | None = None
    boxes: tuple[str, ...] = ()


def has_hit(told: str) -> bool:
    """Whether what a disturbance tells of itself is that somebody was there."""
    return any(not any(miss in part for miss in MISSES) for part in told.split(";"))


def hit_of(kind: str, told: str, *, at: datetime, holds: bool) -> Hit | None:
    """Return the hit that a disturbance tells of, None for a miss; one that `holds` is not over."""
    if not has_hit(told):
        return None
    return Hit(
        kind, at, until=None if holds else at, boxes=tuple(dict.fromkeys(_BOX.findall(told)))
    )


def end(hits: Iterable[Hit], kind: str, *, at: datetime) -> None:
    """Note that what this kind took away is back."""
    for hit in hits:
        if hit.kind == kind and hit.until is None:
            hit.until = at


def within(
    hits: Sequence[Hit], begin: datetime, finish: datetime, *, after: timedelta = timedelta()
) -> list[Hit]:
    """Return the hits that were on between two times; each is felt for so long `after` it."""
    far = datetime.max.replace(tzinfo=UTC) - after
    return [hit for hit in hits if hit.at <= finish and (hit.until or far) + after >= begin]


def never_hit(kinds: Iterable[str], hits: Iterable[Hit]) -> list[str]:
    """Return the kinds that hit nobody in the whole storm."""
    return sorted({*kinds} - {hit.kind for hit in hits})
