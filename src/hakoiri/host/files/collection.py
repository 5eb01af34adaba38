"""What of the store may go, decided purely: what nothing live names, not young, seen twice.

An object is condemned when no live recovery point names it and it is older than the grace; it
leaves, into the archive, when it was condemned a grace ago and still nothing names it. Time alone
protects nothing: who commits a recovery point that names a condemned object rescues it, and who
names one that leaves is refused (`CollectionLedger`).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from hakoiri.host.files.packs import Pack, objects_of
from hakoiri.host.files.packs import Stored as StoredEntry

ARCHIVE_PREFIX: Final = "archive/"
"""Below it lies what left; the lifecycle rules of a bucket touch nothing else."""

_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_COLLECTABLE: Final = re.compile(
    r"tenants/[a-z0-9][a-z0-9-]{0,62}/"
    r"(?:(?:packs|blobs)/[0-9a-f]{2}/[0-9a-f]{64}"
    r"|workspaces/[a-z0-9][a-z0-9-]{0,62}/manifests/rp-[0-9a-f]{32}\.json(?:\.zst)?)"
)


@dataclass(frozen=True, slots=True)
class Listed:
    """One object of a listing: its size in bytes, and when the store says it was written."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class CollectionRules:
    """How long what nothing names stays: in its place, and in the archive.

    `archive_age` is None where the store's own rules empty the archive (a bucket's lifecycle).
    """

    grace: timedelta
    archive_age: timedelta | None


class Verdict(StrEnum):
    """What becomes of an object."""

    LIVE = "live"
    """A live recovery point names it."""

    YOUNG = "young"
    """Nothing names it, but whoever wrote it may be about to."""

    CONDEMN = "condemn"
    """Nothing names it: it is to be noted down, and looked at again."""

    WAITING = "waiting"
    """Condemned, and not for long enough."""

    ABSOLVE = "absolve"
    """Condemned, but named again, or written again."""

    DUE = "due"
    """Condemned long enough, and still unnamed: it leaves."""

    FOREIGN = "foreign"
    """Not of a form that this program writes: left alone."""


def judge(
    found: Listed,
    *,
    is_needed: bool,
    condemned_at: datetime | None,
    now: datetime,
    rules: CollectionRules,
) -> Verdict:
    """Judge one object; `condemned_at` and `is_needed` must be read in this order.

    So a recovery point that was committed before the object was condemned is among those that
    said what is needed. A store whose clock is ahead makes objects younger, never older.
    """
    if _COLLECTABLE.fullmatch(found.key) is None:
        return Verdict.FOREIGN
    if is_needed:
        return Verdict.LIVE if condemned_at is None else Verdict.ABSOLVE
    if now - found.modified < rules.grace:
        return Verdict.YOUNG if condemned_at is None else Verdict.ABSOLVE
    if condemned_at is None:
        return Verdict.CONDEMN
    return Verdict.DUE if now - condemned_at >= rules.grace else Verdict.WAITING


def is_expired(archived: Listed, *, is_needed: bool, now: datetime, rules: CollectionRules) -> bool:
    """Whether an object of the archive is to be deleted for good; never one that is needed."""
    if rules.archive_age is None or is_needed:
        return False
    key = archived.key.removeprefix(ARCHIVE_PREFIX)
    is_ours = key != archived.key and _COLLECTABLE.fullmatch(key) is not None
    return is_ours and now - archived.modified >= rules.archive_age


def is_tenant(name: str) -> bool:
    """Whether a folder of the store has the form of a tenant's name."""
    return _TENANT.fullmatch(name) is not None


def live_bytes_of(entries: Iterable[StoredEntry]) -> dict[Pack, int]:
    """Return the plain bytes that the entries name of each pack, each piece counted once."""
    live: dict[Pack, int] = {}
    seen: set[tuple[str, int]] = set()
    for entry in entries:
        for part in entry.parts or ():
            if (part.pack.id, part.offset) not in seen:
                seen.add((part.pack.id, part.offset))
                live[part.pack] = live.get(part.pack, 0) + part.length
    return live


def blobs_of(entries: Iterable[StoredEntry]) -> set[str]:
    """Return the hashes of the entries that are blobs of their own (version 1)."""
    return {one for entry in entries if entry.parts is None for one in objects_of(entry)}
