import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.unit.cli.backup.conftest import INSTANCE, Site

from hakoiri.cli.backup.listing import BackupError, read_head, read_listing
from hakoiri.cli.backup.making import make_backup
from hakoiri.cli.backup.places import Places, settings_files

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def make(site: Site, found: Places | None = None) -> set[str]:
    entries = make_backup(
        site.backup,
        found or site.found,
        settings=settings_files(site.settings, {}),
        version="1.2",
        now=NOW,
    )
    return {entry.path for entry in entries if not entry.is_directory}


def test_all_that_cannot_be_made_anew_is_in_it_and_nothing_else(site: Site) -> None:
    assert make(site) == {
        "database/hakoiri.sqlite",
        "data/instance",
        "data/warm_pool.json",
        "objects/tenants/t/packs/p1",
        "audit/keeper/key.pem",
        "audit/keeper/heads.jsonl",
        "audit/server/000000000000001.jsonl",
        "proxy/ca.pem",
        f"settings{site.root}/etc/proxy.env",
    }
    head = read_head(site.backup)
    assert (head.instance, head.version, head.made_at) == (INSTANCE, "1.2", NOW.isoformat())
    assert len(read_listing(site.backup, head)) > 9
    with closing(sqlite3.connect(site.backup / "database/hakoiri.sqlite")) as database:
        assert database.execute("SELECT n FROM t").fetchall() == [(7,)]


def test_it_is_for_its_owner_alone(site: Site) -> None:
    make(site)
    assert site.backup.stat().st_mode & 0o777 == 0o700
    for path in site.backup.rglob("*"):
        if path.is_file() and path.parent != site.backup:
            assert path.stat().st_mode & 0o077 == 0, path


def test_a_directory_that_is_there_is_left_alone(site: Site) -> None:
    site.backup.mkdir()
    (site.backup / "mine").touch()
    with pytest.raises(BackupError, match="name a new one"):
        make(site)
    assert [path.name for path in site.backup.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    "inside", ["data", "data/objects", f"audit/{INSTANCE}", f"proxy/{INSTANCE}"]
)
def test_a_backup_within_what_is_saved_is_refused(site: Site, inside: str) -> None:
    with pytest.raises(BackupError, match="is what is saved"):
        make_backup(site.root / inside / "backup", site.found, settings=[], version="1.2", now=NOW)
    assert not (site.root / inside / "backup").exists()


def test_what_failed_is_not_left_half(site: Site) -> None:
    assert site.found.database is not None
    with pytest.raises(BackupError, match="there is no database"):
        make(site, replace(site.found, database=site.root / "nowhere.sqlite"))
    assert not site.backup.exists()
    site.found.database.write_bytes(b"no database" * 1000)
    with pytest.raises(BackupError, match="the backup was not made"):
        make(site)
    assert not site.backup.exists()


def test_what_is_on_another_host_is_said_not_to_be_in_it(site: Site) -> None:
    files = make(site, replace(site.found, database=None, objects=None, audit=None))
    head = read_head(site.backup)
    assert (head.has_database, head.has_objects) == (False, False)
    assert not {path for path in files if path.startswith(("database", "objects", "audit"))}
