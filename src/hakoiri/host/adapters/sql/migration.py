"""Brings a database's schema up to date, and refuses one that a newer version has made.

At nearly every start there is nothing to do. Alembic, which costs 10 MiB and 0.1 s, is therefore
loaded only where there is.

Before an SQLite database is changed, a copy of its file is kept beside it: there is no way back
from a migration but that copy. Of PostgreSQL a dump is the operator's to make (docs/operations).
"""

from pathlib import Path
from typing import Final

import sqlalchemy as sa

from hakoiri.host.adapters.sql import sqlite
from hakoiri.host.adapters.sql.sqlite_copy import CopyError, copy_database

VERSION_TABLE: Final = "alembic_version"
VERSIONS: Final = Path(__file__).parent / "migrations" / "versions"
"""One file for each schema, `v0001_what_it_adds.py`; `install.sh back` goes by their names, too."""


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
    known = known_schemas()
    found = _schema_of(connection)
    if found == known[-1]:
        return
    if found is not None and found not in known:
        raise NewerSchemaError(
            f"the database has schema {found}, and this version of Hakoiri knows none after "
            f"{known[-1]}: a newer version has used it. Start that version again, or put back "
            "what was saved before the upgrade (docs/operations/upgrade.md)"
        )
    if found is not None:
        _keep_copy(connection, known[-1])
    from hakoiri.host.adapters.sql.schema_upgrade import upgrade  # noqa: PLC0415 - see above

    upgrade(connection, known[-1])


def known_schemas() -> list[str]:
    """Return the names of all schemas that there are migrations to, the newest last."""
    return sorted(path.name[1:5] for path in VERSIONS.glob("v[0-9]*.py"))


def _schema_of(connection: sa.Connection) -> str | None:
    """Return what the database says of itself; None if there is nothing in it."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    version = sa.table(VERSION_TABLE, sa.column("version_num", sa.String))
    found: str | None = connection.scalar(sa.select(version.c.version_num))
    return found


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
