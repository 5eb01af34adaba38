"""The ledger of the collection in memory, with the rules that every ledger follows."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hakoiri.host.files.collection_ports import CollectedError
from hakoiri.host.files.ports import Named

State = Literal["condemned", "leaving", "gone"]


@dataclass(slots=True)
class Row:
    """One object's place in the ledger; `number` counts the removals that have ended."""

    tenant: str
    state: State
    since: datetime
    number: int = 0


class MemoryLedger:
    """A `CollectionLedger` in `rows`, by key; `mark` is the number of the newest removal."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.mark = 0

    def keep(self, named: Named) -> None:
        """Rescue what becomes live; `CollectedError`, and nothing changed, if some of it left."""
        rows = {key: row for key in named.keys if (row := self.rows.get(key)) is not None}
        lost = [
            key
            for key, row in rows.items()
            if row.state == "leaving"
            or (row.state == "gone" and (key not in named.written or row.number > named.mark))
        ]
        if lost:
            raise CollectedError(lost)
        for key in rows:
            del self.rows[key]

    async def condemn(self, tenant: str, keys: Collection[str], *, at: datetime) -> None:
        """Note that nothing names these."""
        for key in keys:
            if key not in self.rows or self.rows[key].state == "gone":
                self.rows[key] = Row(tenant, "condemned", at)

    async def condemned(self, tenant: str) -> Mapping[str, datetime]:
        """Return who is condemned, and since when."""
        return {
            key: row.since
            for key, row in self.rows.items()
            if row.tenant == tenant and row.state == "condemned"
        }

    async def absolve(self, tenant: str, keys: Collection[str]) -> None:
        """Forget that they were condemned."""
        for key in keys:
            row = self.rows.get(key)
            if row is not None and row.tenant == tenant and row.state == "condemned":
                del self.rows[key]

    async def begin_leaving(self, keys: Collection[str], *, at: datetime) -> frozenset[str]:
        """Let those leave that are still condemned."""
        begun = [key for key in keys if key in self.rows and self.rows[key].state == "condemned"]
        for key in begun:
            self.rows[key].state, self.rows[key].since = "leaving", at
        return frozenset(begun)

    async def leaving(self) -> Sequence[str]:
        """Return who began to leave."""
        return [key for key, row in self.rows.items() if row.state == "leaving"]

    async def end_leaving(self, keys: Collection[str], *, at: datetime) -> None:
        """Note that they are gone."""
        self.mark += 1
        for key in keys:
            row = self.rows.get(key)
            if row is not None and row.state == "leaving":
                row.state, row.since, row.number = "gone", at, self.mark

    async def forget_gone(self, *, before: datetime) -> None:
        """Forget who was gone before."""
        for key, row in list(self.rows.items()):
            if row.state == "gone" and row.since < before:
                del self.rows[key]
