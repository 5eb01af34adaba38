import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.cli.backup.conftest import INSTANCE, Site, settings_in
from tests.unit.cli.backup.test_making import make

from hakoiri.cli.backup import restoring
from hakoiri.cli.backup.listing import BackupError, Entry, Head, read_head, read_listing
from hakoiri.cli.backup.places import Places, places
from hakoiri.cli.backup.restoring import restore, restore_settings


@pytest.fixture
def backup(site: Site) -> tuple[Path, Head, list[Entry]]:
    make(site)
    head = read_head(site.backup)
    return site.backup, head, read_listing(site.backup, head)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Places:
    return places(settings_in(tmp_path / "elsewhere"), INSTANCE)


def test_all_comes_back_where_the_settings_say(
    site: Site, backup: tuple[Path, Head, list[Entry]], elsewhere: Places
) -> None:
    assert restore(*backup, elsewhere) == 8
    assert elsewhere.audit is not None
    assert elsewhere.objects is not None
    assert (elsewhere.data_dir / "instance").read_text() == f"{INSTANCE}\n"
    assert (elsewhere.objects / "tenants/t/packs/p1").read_text() == "pack"
    chain = "server/000000000000001.jsonl"
    assert (elsewhere.audit / chain).read_text() == "1\n2\n"
    assert site.found.audit is not None
    assert (elsewhere.audit / chain).stat().st_mode == (site.found.audit / chain).stat().st_mode
    assert not (elsewhere.data_dir.parent / "etc").exists(), "settings are put back by themselves"


def test_modes_come_back_also_those_of_directories(site: Site, elsewhere: Places) -> None:
    assert site.found.audit is not None
    assert elsewhere.audit is not None
    (site.found.audit / "server").chmod(0o2750)
    (site.found.audit / "server/000000000000001.jsonl").chmod(0o440)
    make(site)
    head = read_head(site.backup)
    restore(site.backup, head, read_listing(site.backup, head), elsewhere)
    assert (elsewhere.audit / "server").stat().st_mode & 0o7777 == 0o2750
    assert (elsewhere.audit / "server/000000000000001.jsonl").stat().st_mode & 0o777 == 0o440


@pytest.mark.parametrize("there", ["data_dir", "objects", "audit", "proxy"])
def test_nothing_is_put_over_what_is_there(
    backup: tuple[Path, Head, list[Entry]], elsewhere: Places, there: str
) -> None:
    place: Path = getattr(elsewhere, there)
    place.mkdir(parents=True)
    (place / "mine").touch()
    with pytest.raises(BackupError, match="is there already"):
        restore(*backup, elsewhere)
    assert [path.name for path in place.iterdir()] == ["mine"]


def test_the_id_comes_last_so_that_no_server_starts_on_a_half(
    backup: tuple[Path, Head, list[Entry]], elsewhere: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    original = restoring._file

    def counted(source: Path, target: Path, entry: Entry, owner: object) -> None:
        if len(written) == 7:
            raise OSError(28, os.strerror(28))
        written.append(entry.path)
        original(source, target, entry, owner)  # type: ignore[arg-type]

    monkeypatch.setattr(restoring, "_file", counted)
    with pytest.raises(BackupError, match=r"not all was put back: .*No space left"):
        restore(*backup, elsewhere)
    assert "data/instance" not in written
    assert not (elsewhere.data_dir / "instance").exists()


@pytest.mark.parametrize("kind", ["database", "objects"])
def test_settings_of_another_kind_are_refused_before_anything_is_touched(
    backup: tuple[Path, Head, list[Entry]], elsewhere: Places, kind: str
) -> None:
    other = replace(elsewhere, **{kind: None})  # type: ignore[arg-type]
    with pytest.raises(BackupError, match="the settings of then"):
        restore(*backup, other)
    assert not elsewhere.data_dir.exists()


def test_a_store_that_came_meanwhile_is_another_kind_too(
    site: Site, tmp_path: Path, elsewhere: Places
) -> None:
    make(site, replace(site.found, objects=None))
    head = read_head(site.backup)
    with pytest.raises(BackupError, match="HAKOIRI_OBJECT_STORE_URL"):
        restore(site.backup, head, read_listing(site.backup, head), elsewhere)


def test_an_owner_that_this_host_lacks_is_named_before_anything_is_touched(
    backup: tuple[Path, Head, list[Entry]], elsewhere: Places
) -> None:
    path, head, entries = backup
    entries[-2] = replace(entries[-2], owner="nobody-has-this-name")
    with pytest.raises(BackupError, match=r"nobody-has-this-name.*install Hakoiri first"):
        restore(path, head, entries, elsewhere)
    assert not elsewhere.data_dir.exists()


def test_settings_come_back_where_they_are_missing_and_what_differs_is_kept(
    site: Site, backup: tuple[Path, Head, list[Entry]], tmp_path: Path
) -> None:
    path, _, entries = backup
    root = tmp_path / "new-host"
    settled = restore_settings(path, entries, root=root)
    secrets = root / str(site.root / "etc/proxy.env")[1:]
    assert (settled.made, settled.kept) == ([secrets], [])
    assert (secrets.read_text(), secrets.stat().st_mode & 0o777) == ("A_KEY=secret\n", 0o600)
    assert restore_settings(path, entries, root=root).made == []
    secrets.write_text("A_KEY=another\n")
    again = restore_settings(path, entries, root=root)
    assert (again.made, again.kept) == ([], [secrets])
    assert secrets.read_text() == "A_KEY=another\n"


def test_a_backup_put_back_and_saved_again_is_the_same(
    site: Site, backup: tuple[Path, Head, list[Entry]], elsewhere: Places, tmp_path: Path
) -> None:
    path, head, entries = backup
    restore(path, head, entries, elsewhere)
    shutil.rmtree(site.root / "etc")
    again = Site(tmp_path / "elsewhere", site.settings, elsewhere)
    make(again)
    found = read_listing(again.backup, read_head(again.backup))
    kept = {(one.path, one.mode, one.owner, one.group) for one in found}
    assert kept == {
        (one.path, one.mode, one.owner, one.group)
        for one in entries
        if not one.path.startswith("settings")
    }
