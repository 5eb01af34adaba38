"""Plays the migrations that a database lacks.

Before an SQLite database is changed, a copy of its file is kept beside it: there is no way back
from a migration but that copy. Of PostgreSQL a dump is the operator's to make (docs/operations).
"""

import logging
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from hakoiri.host.adapters.sql import sqlite
from hakoiri.host.adapters.sql.migration import NoCopyError
from hakoiri.host.adapters.sql.sqlite_copy import CopyError, copy_database


def upgrade(connection: sa.Connection, newest: str, *, is_new: bool) -> None:
    """Bring the schema to `newest`, within the connection's transaction, which writes.

    Raises `NoCopyError` if a database that is not new could not be copied; nothing was changed.
    """
    if not is_new:
        _keep_copy(connection, newest)
    config = Config()
    config.set_main_option("script_location", "hakoiri.host.adapters.sql:migrations")
    config.attributes["connection"] = connection
    logging.getLogger("alembic").setLevel(logging.WARNING)
    command.upgrade(config, newest)


def kept_copy(database: Path, newest: str) -> Path:
    """Return where the copy of an SQLite file lies that was made before it got schema `newest`."""
    return database.with_name(f"{database.name}.before-{newest}")


def _keep_copy(connection: sa.Connection, newest: str) -> None:
    if connection.dialect.name != sqlite.NAME:
        return
    path = Path(connection.engine.url.database or "")
    try:
        # Our transaction keeps all writers out, and has itself written nothing yet.
        copy_database(path, kept_copy(path, newest))
    except CopyError as error:
        raise NoCopyError(
            f"the database was not changed, as no copy of it could be kept before: {error}"
        ) from error
