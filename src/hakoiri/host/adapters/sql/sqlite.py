"""SQLite, set up for one promise: "nothing acknowledged is ever lost".

- WAL, so that readers never wait for the writer, and a second process (`hakoiri key create` beside
  a running server) can work at the same time.
- `synchronous=FULL`. In WAL mode NORMAL keeps the file consistent but may forget the last commits
  when the host loses power (https://www.sqlite.org/pragma.html#pragma_synchronous). FULL costs one
  fsync a commit, and a turn commits whatever has arrived at once, so it is paid a few times a turn.
- Writers say `BEGIN IMMEDIATE`: a deferred transaction that reads first and then writes fails at
  once when another process wrote in between (SQLITE_BUSY_SNAPSHOT), and no timeout helps.
"""

import os
import sqlite3
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from hakoiri.host.adapters.sql.execution import WRITES

NAME: Final = "sqlite"
BUSY_TIMEOUT_S: Final = 10
"""How long a writer waits for another process's write."""

CACHE_KIB: Final = 512
"""Of pages, for each connection. SQLite's own bound of 2,000 KiB is filled some day by each of
them; reading and writing in 49 MiB of conversations took as long with a quarter of it."""

SETTINGS: Final = (
    f"busy_timeout={BUSY_TIMEOUT_S * 1000}",
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    f"cache_size=-{CACHE_KIB}",
)


def make_engine(url: sa.URL) -> AsyncEngine:
    """Return an engine on the file, which is made if it is not there. Raises `OSError`."""
    engine = create_async_engine(url.set(drivername=f"{NAME}+aiosqlite"))
    _make_private(url.database or "")
    sa.event.listen(engine.sync_engine, "connect", _set_up)
    sa.event.listen(engine.sync_engine, "begin", _begin)
    return engine


def is_busy(error: object) -> bool:
    """Whether the driver's error says that another process has the file."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY


def _make_private(path: str) -> None:
    # Conversations are nobody else's to read. A path that cannot be opened shows here, too, where
    # no connection's thread is left behind.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _set_up(connection: Any, record: object) -> None:
    del record
    # The driver's own idea of transactions leaves DDL outside of them; we say BEGIN ourselves.
    connection.isolation_level = None
    try:
        cursor = connection.cursor()
        for setting in SETTINGS:
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()
    except BaseException:
        connection.close()  # the pool forgets a connection whose set-up failed, thread and all
        raise


def _begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
