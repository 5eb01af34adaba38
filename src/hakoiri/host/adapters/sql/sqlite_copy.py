"""A copy of an SQLite database that may be in use: by SQLite's own online backup.

A plain copy of the file misses what is in its write-ahead log, and can be torn
(https://www.sqlite.org/howtocorrupt.html, section 1.2).
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from hakoiri.host.adapters.durable_names import sync_path

BUSY_TIMEOUT_S: Final = 30.0
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class CopyError(Exception):
    """The copy could not be made; what stood in its place before still does."""


def copy_database(source: Path, target: Path) -> None:
    """Write a copy of one moment, readable by its owner alone; it is there whole or not at all.

    Raises `CopyError`.
    """
    partial = target.with_name(f"{target.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, _NEW, 0o600))
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as old,
            closing(sqlite3.connect(partial, timeout=BUSY_TIMEOUT_S)) as new,
        ):
            old.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000:.0f}")
            old.backup(new)
            # one file, with nothing beside it that could be left behind
            new.execute("PRAGMA journal_mode=DELETE")
        sync_path(partial)
        partial.rename(target)
        sync_path(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise CopyError(f"cannot copy {source} to {target}: {error}") from error
