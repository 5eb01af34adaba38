"""Opening the database: its settings, its migrations, its transactions, its errors.

SQLite is set up for one promise, "nothing acknowledged is ever lost":

- WAL, so that readers never wait for the writer, and a second process (`hakoiri key create` beside
  a running server) can work at the same time.
- `synchronous=FULL`. In WAL mode NORMAL keeps the file consistent but may forget the last commits
  when the host loses power (https://www.sqlite.org/pragma.html#pragma_synchronous). FULL costs one
  fsync a commit, and a turn commits whatever has arrived at once, so it is paid a few times a turn.
- Writers say `BEGIN IMMEDIATE`: a deferred transaction that reads first and then writes fails at
  once when another process wrote in between (SQLITE_BUSY_SNAPSHOT), and no timeout helps.
"""

import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import anyio
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from hakoiri.host.containers.ports import ContainersError
from hakoiri.host.conversations.ports import StoreError
from hakoiri.host.files.ports import FilesError

BUSY_TIMEOUT_S: Final = 10
"""How long a writer waits for another process's write."""

SQLITE_SETTINGS: Final = (
    f"busy_timeout={BUSY_TIMEOUT_S * 1000}",
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
)

OPEN_ATTEMPTS: Final = 100
OPEN_PAUSE_S: Final = 0.05

WRITES: Final = "hakoiri_writes"
"""The execution option that marks a connection's transactions as writing."""


class DatabaseError(StoreError, ContainersError, FilesError):
    """The database does not answer. Each room that uses a store catches this as its own error."""


class ConstraintError(DatabaseError):
    """A row that must be the only one of its kind is there already, or refers to nothing."""


class Database:
    """An open database. Writers of this process queue up here rather than in SQLite's busy loop."""

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

    `url` is an SQLAlchemy URL; `sqlite:///path` means the file at that path. Raises
    `DatabaseError`.
    """
    try:
        engine = _engine(url)
    except (ArgumentError, ImportError, OSError) as error:
        raise DatabaseError(
            f"database_url cannot be used: {error}; give sqlite:///absolute/path"
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
    async with database.writing() as connection:
        await connection.run_sync(_migrate)


def _is_busy(error: DatabaseError) -> bool:
    origin = getattr(error.__cause__, "orig", None)
    return getattr(origin, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY


def _engine(url: str) -> AsyncEngine:
    parsed = sa.make_url(url)
    if parsed.drivername == "sqlite":
        parsed = parsed.set(drivername="sqlite+aiosqlite")
    engine = create_async_engine(parsed)
    if engine.dialect.name == "sqlite":
        _make_private(parsed.database or "")
        sa.event.listen(engine.sync_engine, "connect", _set_up_sqlite)
        sa.event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _make_private(path: str) -> None:
    # Conversations are nobody else's to read. A path that cannot be opened shows here, too, where
    # no connection's thread is left behind.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _set_up_sqlite(connection: Any, record: object) -> None:
    del record
    # The driver's own idea of transactions leaves DDL outside of them; we say BEGIN ourselves.
    connection.isolation_level = None
    try:
        cursor = connection.cursor()
        for setting in SQLITE_SETTINGS:
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()
    except BaseException:
        connection.close()  # the pool forgets a connection whose set-up failed, thread and all
        raise


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(connection: sa.Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "hakoiri.host.adapters.sql:migrations")
    config.attributes["connection"] = connection
    logging.getLogger("alembic").setLevel(logging.WARNING)
    command.upgrade(config, "head")


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
