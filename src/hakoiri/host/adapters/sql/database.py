"""Opening a database: migrations, transactions and errors, alike on SQLite and PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import anyio
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hakoiri.host.adapters.sql import postgresql, sqlite
from hakoiri.host.adapters.sql.execution import WRITES
from hakoiri.host.adapters.sql.migration import NewerSchemaError, NoCopyError, migrate
from hakoiri.host.containers.ports import ContainersError
from hakoiri.host.conversations.ports import StoreError
from hakoiri.host.files.ports import FilesError

OPEN_ATTEMPTS: Final = 100
OPEN_PAUSE_S: Final = 0.05

ENGINES: Final = {sqlite.NAME: sqlite.make_engine, postgresql.NAME: postgresql.make_engine}


class DatabaseError(StoreError, ContainersError, FilesError):
    """The database does not answer. Each room that uses a store catches this as its own error."""


class NewerDatabaseError(DatabaseError):
    """A newer version of Hakoiri has used the database; this one must not."""


class ConstraintError(DatabaseError):
    """A row that must be the only one of its kind is there already, or refers to nothing."""


class Database:
    """An open database. Writers of this process queue up here rather than in the database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = anyio.Lock()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that only reads, on one snapshot. Raises `DatabaseError`."""
        with anyio.CancelScope(shield=True), _translated():
            async with self._engine.connect() as connection, connection.begin():
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that writes; it is on disk when the block is left.

        Shielded from cancellation: a commit whose outcome nobody knows cannot be acknowledged.
        Raises `DatabaseError`, `ConstraintError`.
        """
        with anyio.CancelScope(shield=True), _translated():
            async with self._writing, self._engine.connect() as connection:
                await connection.execution_options(**{WRITES: True})
                async with connection.begin():
                    yield connection

    async def check(self) -> None:
        """Raise `DatabaseError` if a transaction cannot be had now."""
        async with self.reading() as connection:
            await connection.execute(sa.text("SELECT 1"))

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()


async def open_database(url: str) -> Database:
    """Open the database and bring its schema up to date, in one transaction.

    `url` is an SQLAlchemy URL: `sqlite:///path` means the file at that path,
    `postgresql:///name?host=/directory` the database of that name at the socket in the directory.
    Raises `DatabaseError`, and `NewerDatabaseError` for one that a newer version has used.
    """
    try:
        engine = _engine(url)
    except (ArgumentError, ImportError, OSError) as error:
        raise DatabaseError(
            f"database_url cannot be used: {error}; give sqlite:///absolute/path or "
            "postgresql://user@host/name"
        ) from error
    database = Database(engine)
    try:
        await _bring_up_to_date(database)
    except BaseException:
        await database.close()
        raise
    return database


async def _bring_up_to_date(database: Database) -> None:
    # Turning a new file to WAL needs it alone and does not wait by itself, so of several processes
    # that open it for the first time, all but one have to come again.
    for _ in range(OPEN_ATTEMPTS - 1):
        try:
            return await _upgrade(database)
        except DatabaseError as error:
            if not _is_busy(error):
                raise
        await anyio.sleep(OPEN_PAUSE_S)
    return await _upgrade(database)


async def _upgrade(database: Database) -> None:
    try:
        async with database.writing() as connection:
            await connection.run_sync(migrate)
    except NewerSchemaError as error:
        raise NewerDatabaseError(str(error)) from error
    except NoCopyError as error:
        raise DatabaseError(str(error)) from error


def _is_busy(error: DatabaseError) -> bool:
    return sqlite.is_busy(getattr(error.__cause__, "orig", None))


def _engine(url: str) -> AsyncEngine:
    parsed = sa.make_url(url)
    make = ENGINES.get(parsed.get_backend_name())
    if make is None:
        raise ArgumentError(f"{parsed.get_backend_name()} is not supported")
    return make(parsed)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the vendor's errors into ours."""
    try:
        yield
    except IntegrityError as error:
        raise ConstraintError(f"the database refuses the row: {_reason(error)}") from error
    except (SQLAlchemyError, OSError) as error:
        raise DatabaseError(f"the database does not answer: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    # `orig` is the driver's message; SQLAlchemy's own adds the statement and its values.
    return str(getattr(error, "orig", None) or error)[:500]
