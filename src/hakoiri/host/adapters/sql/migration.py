"""Brings a database's schema up to date, and refuses one that a newer version has made.

Before an SQLite database is changed, a copy of its file is kept beside it: there is no way back
from a migration but that copy. Of PostgreSQL a dump is the operator's to make (docs/operations).
"""

import logging
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from hakoiri.host.adapters.sql import sqlite
from hakoiri.host.adapters.sql.sqlite_copy import CopyError, copy_database


class NewerSchemaError(Exception):
    """The schema is none that this version knows."""


class NoCopyError(Exception):
    """No copy of the database could be kept, so it was not changed."""


def migrate(connection: sa.Connection) -> None:
    """Bring the schema up to date, within the connection's transaction, which writes.

    Raises:
        NewerSchemaError: a newer version of Hakoiri made the schema; nothing was changed.
        NoCopyError: the copy that is kept before a change could not be made; nothing was changed.
    """
    config = Config()
    config.set_main_option("script_location", "hakoiri.host.adapters.sql:migrations")
    config.attributes["connection"] = connection
    logging.getLogger("alembic").setLevel(logging.WARNING)
    scripts = ScriptDirectory.from_config(config)
    newest = scripts.get_current_head() or ""
    found = MigrationContext.configure(connection).get_current_revision()
    if found == newest:
        return
    if found is not None:
        if found not in {script.revision for script in scripts.walk_revisions()}:
            raise NewerSchemaError(
                f"the database has schema {found}, and this version of Hakoiri knows none after "
                f"{newest}: a newer version has used it. Start that version again, or put back "
                "what was saved before the upgrade (docs/operations/upgrade.md)"
            )
        _keep_copy(connection, newest)
    command.upgrade(config, "head")


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
