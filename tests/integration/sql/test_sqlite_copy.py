import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hakoiri.host.adapters.sql.sqlite_copy import CopyError, copy_database


def test_what_is_only_in_the_write_ahead_log_is_in_the_copy_and_nothing_later(
    tmp_path: Path,
) -> None:
    source, target = tmp_path / "a.sqlite", tmp_path / "copy.sqlite"
    with closing(sqlite3.connect(source, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("CREATE TABLE t (n)")
        writer.execute("INSERT INTO t VALUES (1)")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO t VALUES (2)")
        copy_database(source, target)
        writer.execute("COMMIT")
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("SELECT n FROM t").fetchall() == [(1,)]
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert target.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"a.sqlite", "copy.sqlite"}


def test_a_database_at_rest_is_copied_and_left_as_it_was(tmp_path: Path) -> None:
    source = tmp_path / "a.sqlite"
    with closing(sqlite3.connect(source)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE t (n)")
    copy_database(source, tmp_path / "copy.sqlite")
    assert (tmp_path / "copy.sqlite").exists()


def test_a_copy_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    target = tmp_path / "copy.sqlite"
    target.write_text("the one before")
    for broken in ("nothing", "no-database"):
        (tmp_path / "no-database").write_bytes(b"x" * 5000)
        with pytest.raises(CopyError):
            copy_database(tmp_path / broken, target)
    assert target.read_text() == "the one before"
