"""The ledger's file: SQLite in the proxy's state directory, used by one process at a time."""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from hakoiri.credential_proxy.budgets.account import Entry
from hakoiri.credential_proxy.budgets.calendar import Day
from hakoiri.credential_proxy.errors import ConfigurationError, CredentialProxyError

FILE_NAME: Final = "budgets.sqlite3"
_VERSION: Final = 1
_TAKEN_TIMEOUT_S: Final = 10.0
"""A predecessor that is told to stop has 5 s to end."""

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS account (
  kind TEXT NOT NULL, tenant TEXT NOT NULL, workspace TEXT NOT NULL,
  day INTEGER NOT NULL, month INTEGER NOT NULL,
  requests INTEGER NOT NULL, bytes_up INTEGER NOT NULL, bytes_down INTEGER NOT NULL,
  model_tokens INTEGER NOT NULL, spend_microusd INTEGER NOT NULL,
  month_spend_microusd INTEGER NOT NULL,
  PRIMARY KEY (kind, tenant, workspace)
) WITHOUT ROWID
"""
_KEEP: Final = "INSERT OR REPLACE INTO account VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_COUNTS: Final = "(day >= ? OR (month >= ? AND month_spend_microusd > 0))"
_READ: Final = f"SELECT * FROM account WHERE {_COUNTS}"  # noqa: S608 - nothing of it is input
_FORGET: Final = f"DELETE FROM account WHERE NOT {_COUNTS}"  # noqa: S608 - the same
_ENTRY: Final = TypeAdapter(Entry)


class StoreError(CredentialProxyError):
    """The ledger cannot be written now."""


class LedgerStore:
    """Opened by one process, which keeps it locked until it ends, however it ends."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> "LedgerStore":
        """Open the file, made at its first use.

        Raises:
            ConfigurationError: it cannot be used; the message tells the mend.
        """
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(path, flags, 0o600))
            connection = sqlite3.connect(
                path, timeout=_TAKEN_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be opened: {error.strerror}") from error
        try:
            _prepare(connection, path)
        except sqlite3.OperationalError as error:
            connection.close()
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                reason = f"{path}: another proxy uses it; stop that one"
                raise ConfigurationError(reason) from error
            raise _unreadable(path, str(error)) from error
        except sqlite3.DatabaseError as error:
            connection.close()
            raise _unreadable(path, str(error)) from error
        return cls(connection)

    def read(self, today: Day) -> list[Entry]:
        """Return what counts today or this month.

        Raises:
            ConfigurationError: what is written there makes no sense; the message tells the mend.
        """
        path = Path(self._connection.execute("PRAGMA database_list").fetchone()[2])
        try:
            rows = self._connection.execute(_READ, (today.number, today.month)).fetchall()
            return [_entry(row) for row in rows]
        except (sqlite3.DatabaseError, ValidationError) as error:
            raise _unreadable(path, str(error).splitlines()[0]) from error

    def write(self, entries: Sequence[Entry], today: Day) -> None:
        """Put the entries in the place of what was there, durably; forget what is over.

        Raises:
            StoreError: they cannot be written; what was there stays.
        """
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany(_KEEP, [_row(entry) for entry in entries])
                self._connection.execute(_FORGET, (today.number, today.month))
        except (sqlite3.Error, OverflowError) as error:
            raise StoreError(f"the ledger cannot be written: {error}") from error

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in (0, _VERSION):
        raise _unreadable(path, f"it is of version {version}")
    (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise _unreadable(path, said)
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute(_TABLE)
    connection.execute(f"PRAGMA user_version = {_VERSION}")
    connection.execute("COMMIT")


def _unreadable(path: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path}: the ledger of budgets cannot be read: {reason}; move it away, and what was used"
        " today and this month counts as nothing"
    )


def _entry(row: tuple[object, ...]) -> Entry:
    kind, tenant, workspace, day, month, requests, up, down, tokens, spend, month_spend = row
    return _ENTRY.validate_python(
        {
            "holder": {"kind": kind, "tenant": tenant, "workspace": workspace},
            "day": day,
            "month": month,
            "requests": requests,
            "bytes_up": up,
            "bytes_down": down,
            "model_tokens": tokens,
            "spend_microusd": spend,
            "month_spend_microusd": month_spend,
        }
    )


def _row(entry: Entry) -> tuple[object, ...]:
    return (
        entry.holder.kind,
        entry.holder.tenant,
        entry.holder.workspace,
        entry.day,
        entry.month,
        entry.requests,
        entry.bytes_up,
        entry.bytes_down,
        entry.model_tokens,
        entry.spend_microusd,
        entry.month_spend_microusd,
    )
