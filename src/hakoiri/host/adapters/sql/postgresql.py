"""PostgreSQL, set up for the same promises as SQLite.

- A transaction that writes takes one advisory lock first, so that there is one writer at a time,
  also when several servers share the database: the stores read and then write in one transaction,
  and were made for `BEGIN IMMEDIATE` (ADR 32).
- One that reads sees one snapshot (`REPEATABLE READ`), and cannot write.
- `synchronous_commit=on`, whatever the server's default: what is acknowledged is on disk.
- Everything waits for a bounded time: for a connection, for a lock, for a statement.

A URL holds no password, as URLs end up in logs and in `/proc`: a socket's `peer` authentication
needs none, and `?passfile=` names a file for the rest.
"""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from hakoiri.host.adapters.sql.execution import WRITES

NAME: Final = "postgresql"
WRITER_LOCK: Final = 0x68616B6F69726900
"""The key of the advisory lock, in the name space that all of a database's users share."""

CONNECT_TIMEOUT_S: Final = 10
LOCK_TIMEOUT_S: Final = 10
STATEMENT_TIMEOUT_S: Final = 30
ANSWER_TIMEOUT_S: Final = 40
"""When a server that does not even end a statement in time counts as gone."""

SERVER_SETTINGS: Final = {
    "application_name": "hakoiri",
    "synchronous_commit": "on",
    "lock_timeout": f"{LOCK_TIMEOUT_S}s",
    "statement_timeout": f"{STATEMENT_TIMEOUT_S}s",
    "idle_in_transaction_session_timeout": f"{STATEMENT_TIMEOUT_S}s",
    "timezone": "UTC",
}


def make_engine(url: sa.URL) -> AsyncEngine:
    """Return an engine; nothing is connected yet. `ArgumentError` for a URL with a password."""
    if url.password is not None:
        raise ArgumentError(
            "it holds a password; put that into a file that only the server's user reads, in the "
            "form of PostgreSQL's .pgpass, and add ?passfile=/path to the URL"
        )
    engine = create_async_engine(
        url.set(drivername=f"{NAME}+asyncpg"),
        pool_pre_ping=True,  # a server that was restarted costs nobody an error
        connect_args={
            "timeout": CONNECT_TIMEOUT_S,
            "command_timeout": ANSWER_TIMEOUT_S,
            "server_settings": SERVER_SETTINGS,
        },
    )
    sa.event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _begin(connection: sa.Connection) -> None:
    if connection.get_execution_options().get(WRITES, False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")
    else:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
