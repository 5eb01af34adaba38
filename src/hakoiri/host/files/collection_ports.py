"""What the collection of the store needs from outside: the store, and a ledger.

The ledger is what makes the collection safe beside running saves. It is kept where the heads are,
so that both change in one transaction:

- `condemned`: nothing live named it when it was last looked at. A head that moves to a recovery
  point that names it takes the row away, and the object stays.
- `leaving`: it is being moved into the archive. A head that names it may not move.
- `gone`: it was moved. A head that names it may move only if the save that moves it wrote the
  object itself, and began after the move had ended (`Named.mark`).

A row goes from `condemned` to `leaving` only if it is still there. So of a commit that names an
object and a collection that removes it, whichever is first in the database wins, and the other
knows. What is condemned before the live recovery points are read is either named by one of these,
or rescued by a later one. Who makes a recovery point live without asking the ledger, as a fork
does, must see in its transaction that one which names the same objects is live still.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from hakoiri.host.files.collection import Listed
from hakoiri.host.files.ports import FilesError, ObjectStore


class CollectedError(FilesError):
    """A recovery point names objects that left the store meanwhile: store them again.

    `keys` are those.
    """

    def __init__(self, keys: Collection[str]) -> None:
        super().__init__(f"{len(keys)} objects that are needed left the store meanwhile; try again")
        self.keys = frozenset(keys)


class CollectionLedger(Protocol):
    """Who is condemned, leaving or gone. Errors are `FilesError`."""

    async def condemn(self, tenant: str, keys: Collection[str], *, at: datetime) -> None:
        """Note that nothing names these; those that are condemned or leave already stay so.

        Returns when each head that moved without seeing the note can be seen.
        """

    async def condemned(self, tenant: str) -> Mapping[str, datetime]:
        """Return who is condemned, and since when."""

    async def absolve(self, tenant: str, keys: Collection[str]) -> None:
        """Forget that they were condemned; nothing happens to others."""

    async def begin_leaving(self, keys: Collection[str], *, at: datetime) -> frozenset[str]:
        """Let those leave that are still condemned; return them."""

    async def leaving(self) -> Sequence[str]:
        """Return all that began to leave and are not known to be gone, of all tenants."""

    async def end_leaving(self, keys: Collection[str], *, at: datetime) -> None:
        """Note that they are gone."""

    async def forget_gone(self, *, before: datetime) -> None:
        """Forget who was gone before that time: no save that was running then runs now."""


class PointLists(Protocol):
    """The lists of recovery points, from which what is too old or too many goes."""

    async def overfull(self, tenant: str, *, now: datetime) -> Sequence[str]:
        """Return the tenant's workspaces whose lists may hold something that is to go."""

    async def drop_expired(self, workspace_id: str, *, now: datetime) -> int:
        """Let go what is to go from one list (`points.expired`); return how many points."""


class CollectableStore(ObjectStore, Protocol):
    """An object store that can be listed, and from which objects can go."""

    async def tenants(self) -> Sequence[str]:
        """Return the tenants that there are folders of, here or in the archive; sorted."""

    def pages(self, prefix: str) -> AsyncIterator[Sequence[Listed]]:
        """List what is below a folder (no slash at its end), some hundreds at a time, no order."""

    async def archive(self, key: str) -> None:
        """Move an object below `archive/`; done again, or without an object, it does nothing."""

    async def bring_back(self, key: str) -> None:
        """Copy an object back from below `archive/`; `ObjectMissingError` if it is not there."""

    async def delete_archived(self, key: str) -> None:
        """Delete an object (of its key without `archive/`) from the archive, if it is there."""

    async def drop_abandoned(self, *, before: datetime) -> int:
        """Delete what writes that were broken off before that time left; return how many.

        A store whose own rules do so returns 0.
        """

    async def check_removal(self) -> None:
        """Move one small object of our own there and delete it; `FilesError` if that fails."""


@dataclass(slots=True)
class Amount:
    """Objects, and their bytes as stored."""

    objects: int = 0
    size_bytes: int = 0

    def add(self, found: Listed) -> None:
        """Count one more."""
        self.objects += 1
        self.size_bytes += found.size


@dataclass(slots=True)
class CollectionReport:
    """What one pass over the store saw and did; bytes as stored.

    `live`, `young`, `waiting` (condemned) and `archived` are what there is after it; `left` went
    into the archive, `deleted` from it. `wasted_bytes` are dead bytes in packs that are live, at
    most. `missing` are live objects that are not there, `brought_back` those that the archive still
    had. `failures` has a line for each tenant that was left alone. In a dry run, `left` and
    `deleted` would have been. `expired_points` left lists that nobody had added to.
    """

    started: datetime
    is_dry: bool = False
    ended: datetime | None = None
    tenants: int = 0
    recovery_points: int = 0
    expired_points: int = 0
    live: Amount = field(default_factory=Amount)
    young: Amount = field(default_factory=Amount)
    waiting: Amount = field(default_factory=Amount)
    archived: Amount = field(default_factory=Amount)
    left: Amount = field(default_factory=Amount)
    deleted: Amount = field(default_factory=Amount)
    foreign: Amount = field(default_factory=Amount)
    wasted_bytes: int = 0
    abandoned: int = 0
    missing: int = 0
    brought_back: int = 0
    failures: list[str] = field(default_factory=list)


class CollectionTold(Protocol):
    """Is told how a pass ended."""

    def collected(self, report: CollectionReport) -> None:
        """A pass that was no dry run came to its end, perhaps with failures."""

    def failed(self, reason: str) -> None:
        """A pass was given up."""
