"""The ledger of the store's collection, in SQL."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.adapters.sql.schema import collected
from hakoiri.host.files.collection_ports import CollectedError
from hakoiri.host.files.ports import Named

CHUNK: Final = 500
"""Keys of one statement."""

_IS_CONDEMNED: Final = collected.c.state == "condemned"
_IS_LEAVING: Final = collected.c.state == "leaving"
_IS_GONE: Final = collected.c.state == "gone"
_IS_COUNT: Final = collected.c.state == "count"
COUNT_KEY: Final = "removals"
"""A row that is no object's: its number counts the removals that have ended."""


async def newest_removal(connection: AsyncConnection) -> int:
    """Return the number of the newest removal that has ended."""
    number = await connection.scalar(sa.select(collected.c.number).where(_IS_COUNT))
    return int(number or 0)


async def keep_named(connection: AsyncConnection, named: Named) -> None:
    """Rescue what becomes live; `CollectedError` if some of it left.

    To be called in each transaction that makes a recovery point live, after the statement that does
    so: on PostgreSQL that statement waits for a `condemn` that has begun.
    """
    some = sa.select(collected.c.key).where(sa.not_(_IS_COUNT)).limit(1)
    if await connection.scalar(some) is None:
        return
    lost: list[str] = []
    for keys in _chunks(named.keys):
        is_named = collected.c.key.in_(keys)
        await connection.execute(sa.delete(collected).where(is_named, _IS_CONDEMNED))
        query = sa.select(collected.c.key, collected.c.state, collected.c.number).where(is_named)
        rows = (await connection.execute(query)).all()
        written_anew = [
            row.key
            for row in rows
            if row.state == "gone" and row.key in named.written and row.number <= named.mark
        ]
        await connection.execute(sa.delete(collected).where(collected.c.key.in_(written_anew)))
        lost += sorted({row.key for row in rows} - set(written_anew))
    if lost:
        raise CollectedError(lost)


class SqlCollectionLedger:
    """A `CollectionLedger` in SQL. Raises `DatabaseError` (a `FilesError`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def condemn(self, tenant: str, keys: Collection[str], *, at: datetime) -> None:
        """Note that nothing names these; those that are condemned or leave already stay so."""
        async with self._database.writing() as connection:
            if connection.dialect.name == "postgresql":
                # Waits for each head that is being moved, and lets none move before the note is
                # there: without it, a transaction that looked before and commits long after would
                # be seen by nobody. SQLite has one writer at a time.
                await connection.execute(sa.text("LOCK TABLE workspaces IN SHARE MODE"))
            for chunk in _chunks(keys):
                is_named = collected.c.key.in_(chunk)
                await connection.execute(sa.delete(collected).where(is_named, _IS_GONE))
                known = await connection.scalars(sa.select(collected.c.key).where(is_named))
                fresh = sorted(set(chunk) - set(known))
                if fresh:
                    rows = [
                        {"key": key, "tenant": tenant, "state": "condemned", "since": at}
                        for key in fresh
                    ]
                    await connection.execute(sa.insert(collected), rows)

    async def condemned(self, tenant: str) -> Mapping[str, datetime]:
        """Return who is condemned, and since when."""
        query = sa.select(collected.c.key, collected.c.since).where(
            collected.c.tenant == tenant, _IS_CONDEMNED
        )
        async with self._database.reading() as connection:
            return {row.key: row.since for row in await connection.execute(query)}

    async def absolve(self, tenant: str, keys: Collection[str]) -> None:
        """Forget that they were condemned."""
        for chunk in _chunks(keys):
            query = sa.delete(collected).where(
                collected.c.key.in_(chunk), collected.c.tenant == tenant, _IS_CONDEMNED
            )
            async with self._database.writing() as connection:
                await connection.execute(query)

    async def begin_leaving(self, keys: Collection[str], *, at: datetime) -> frozenset[str]:
        """Let those leave that are still condemned; return them."""
        begun: set[str] = set()
        async with self._database.writing() as connection:
            for chunk in _chunks(keys):
                query = (
                    sa.update(collected)
                    .where(collected.c.key.in_(chunk), _IS_CONDEMNED)
                    .values(state="leaving", since=at)
                    .returning(collected.c.key)
                )
                begun.update((await connection.scalars(query)).all())
        return frozenset(begun)

    async def leaving(self) -> Sequence[str]:
        """Return all that began to leave and are not known to be gone, of all tenants."""
        async with self._database.reading() as connection:
            return (await connection.scalars(sa.select(collected.c.key).where(_IS_LEAVING))).all()

    async def end_leaving(self, keys: Collection[str], *, at: datetime) -> None:
        """Note that they are gone, as one more removal that has ended."""
        async with self._database.writing() as connection:
            number = await newest_removal(connection) + 1
            await connection.execute(sa.delete(collected).where(_IS_COUNT))
            count = {"key": COUNT_KEY, "tenant": "", "state": "count", "number": number}
            await connection.execute(sa.insert(collected).values(**count, since=at))
            for chunk in _chunks(keys):
                query = (
                    sa.update(collected)
                    .where(collected.c.key.in_(chunk), _IS_LEAVING)
                    .values(state="gone", since=at, number=number)
                )
                await connection.execute(query)

    async def forget_gone(self, *, before: datetime) -> None:
        """Forget who was gone before."""
        query = sa.delete(collected).where(_IS_GONE, collected.c.since < before)
        async with self._database.writing() as connection:
            await connection.execute(query)


def _chunks(keys: Collection[str]) -> Iterator[list[str]]:
    ordered = sorted(keys)
    for start in range(0, len(ordered), CHUNK):
        yield ordered[start : start + CHUNK]
