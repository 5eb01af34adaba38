import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.cli.backup.conftest import Site
from tests.unit.cli.backup.test_making import make

from hakoiri.cli.backup.listing import BackupError, read_head, read_listing
from hakoiri.cli.backup.places import DUMP
from hakoiri.cli.backup.postgresql_dump import PostgresqlDatabase, can_dump, dump, load
from hakoiri.cli.backup.restoring import restore

DATABASE = PostgresqlDatabase("postgresql://h@/h?host=/run/postgresql", os.geteuid(), os.getegid())

Client = Callable[[str], None]


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Stand-ins for both programs: what they are told is kept beside them."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setattr(
        "shutil.which",
        lambda name: str(programs / name) if (programs / name).exists() else None,
    )

    def install(script: str) -> None:
        for name in ("pg_dump", "pg_restore"):
            path = programs / name
            path.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >{programs}/{name}.told\n{script}\n")
            path.chmod(0o755)

    return install


def told(tmp_path: Path, name: str) -> list[str]:
    return (tmp_path / "programs" / f"{name}.told").read_text().splitlines()


def test_a_dump_is_one_of_the_named_database_for_its_owner_alone(
    client: Client, tmp_path: Path
) -> None:
    assert not can_dump()
    client("echo dumped; env >&2")
    assert can_dump()
    dump(DATABASE, tmp_path / "d")
    assert (tmp_path / "d").read_text() == "dumped\n"
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o600
    assert f"--dbname={DATABASE.url}" in told(tmp_path, "pg_dump")
    with pytest.raises(FileExistsError):
        dump(DATABASE, tmp_path / "d")


def test_it_comes_back_whole_or_not_at_all(client: Client, tmp_path: Path) -> None:
    client(f"cat >{tmp_path}/loaded")
    (tmp_path / "d").write_text("dumped")
    load(DATABASE, tmp_path / "d")
    assert (tmp_path / "loaded").read_text() == "dumped"
    assert {"--single-transaction", "--exit-on-error"} <= set(told(tmp_path, "pg_restore"))


def test_what_failed_is_told_in_its_own_words_with_a_mend(client: Client, tmp_path: Path) -> None:
    client("echo no route >&2; exit 1")
    with pytest.raises(BackupError, match=r"DATABASE_URL.*no route.*--without-database"):
        dump(DATABASE, tmp_path / "d")
    with pytest.raises(BackupError, match=r"DATABASE_URL.*as it was: no route.*empty"):
        load(DATABASE, tmp_path / "d")


def test_without_the_client_it_is_named(client: Client, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="postgresql-client"):
        dump(DATABASE, tmp_path / "d")


def test_a_backup_has_the_dump_and_brings_it_back_before_the_id(
    client: Client, site: Site, tmp_path: Path
) -> None:
    client(f"echo dumped; cat >{tmp_path}/loaded; exit $(cat {tmp_path}/code)")
    (tmp_path / "code").write_text("0")
    found = replace(site.found, database=None, postgresql=DATABASE)
    assert DUMP in make(site, found)
    head = read_head(site.backup)
    entries = read_listing(site.backup, head)
    elsewhere = replace(
        found,
        data_dir=tmp_path / "new/data",
        objects=tmp_path / "new/data/objects",
        audit=tmp_path / "new/audit",
        proxy=tmp_path / "new/proxy",
    )
    with pytest.raises(BackupError, match="one of PostgreSQL"):
        restore(site.backup, head, entries, replace(elsewhere, postgresql=None))
    (tmp_path / "code").write_text("1")
    with pytest.raises(BackupError, match="pg_restore failed"):
        restore(site.backup, head, entries, elsewhere)
    assert not (tmp_path / "new").exists(), "nothing was put where the database could not be"
    (tmp_path / "code").write_text("0")
    restore(site.backup, head, entries, elsewhere)
    assert (tmp_path / "loaded").read_text() == "dumped\n"
    assert (elsewhere.data_dir / "instance").exists()
    assert not (tmp_path / "new/data/database").exists()
