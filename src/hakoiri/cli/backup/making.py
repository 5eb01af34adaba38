"""Makes a backup, beside a running server or without one."""

import os
import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from hakoiri.cli.backup.copying import Copies, owner_of
from hakoiri.cli.backup.listing import (
    FORMAT,
    BackupError,
    Entry,
    Head,
    sha256_of,
    write_head,
    write_listing,
)
from hakoiri.cli.backup.places import DATA, DATABASE, DUMP, SETTINGS, Places
from hakoiri.cli.backup.postgresql_dump import PostgresqlDatabase, dump
from hakoiri.host.adapters.sql.sqlite_copy import CopyError, copy_database


def make_backup(
    backup: Path, found: Places, *, settings: Sequence[Path], version: str, now: datetime
) -> list[Entry]:
    """Write the backup into a new directory, root's alone; return what it holds.

    What was begun and failed is removed. Raises `BackupError`.
    """
    for place in (found.data_dir, *(tree.path for tree in found.trees())):
        if backup.is_relative_to(place):
            raise BackupError(f"{backup} lies in {place}, which is what is saved; name another")
    try:
        backup.mkdir(mode=0o700)
    except OSError as error:
        raise BackupError(f"cannot make {backup}: {error.strerror}; name a new one") from error
    try:
        entries = list(_copy(backup, found, settings))
        list_sha256 = write_listing(backup, entries)
        write_head(
            backup,
            Head(
                format=FORMAT,
                version=version,
                instance=found.instance,
                made_at=now.isoformat(timespec="seconds"),
                has_database=found.database is not None,
                has_objects=found.objects is not None,
                list_sha256=list_sha256,
            ),
        )
    except BaseException as error:
        shutil.rmtree(backup, ignore_errors=True)
        if isinstance(error, OSError | CopyError):
            raise BackupError(f"the backup was not made: {error}") from error
        raise
    return entries


def _copy(backup: Path, found: Places, settings: Sequence[Path]) -> Iterator[Entry]:
    copies = Copies(backup)
    if found.database is not None:
        yield _database(backup, found.database)
    if found.postgresql is not None:
        yield _dump(backup, found.postgresql)
    for path in found.data_files:
        yield from copies.file(path, f"{DATA}/{path.name}")
    for tree in found.trees():
        yield from copies.tree(tree.path, tree.name, without=tree.without)
    for path in settings:
        yield from copies.file(path, f"{SETTINGS}/{path.relative_to('/')}")


def _dump(backup: Path, database: PostgresqlDatabase) -> Entry:
    """Save one moment of a PostgreSQL database."""
    copy = backup / DUMP
    copy.parent.mkdir(mode=0o700)
    dump(database, copy)
    return _entry(DUMP, copy, owner=copy.stat())


def _entry(path: str, copy: Path, *, owner: os.stat_result) -> Entry:
    return Entry(path, 0o600, *owner_of(owner), sha256=sha256_of(copy), bytes=copy.stat().st_size)


def _database(backup: Path, database: Path) -> Entry:
    """Copy one moment of the database, in a file that SQLite need not know of any more."""
    if not database.exists():
        raise BackupError(f"there is no database {database}; is this the data directory in use?")
    copy = backup / DATABASE
    copy.parent.mkdir(mode=0o700)
    copy_database(database, copy)
    return _entry(DATABASE, copy, owner=database.stat())
