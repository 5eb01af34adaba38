import json
import os
import time
from pathlib import Path

import pytest
from tests.unit.cli.backup.conftest import Site
from typer.testing import CliRunner

from hakoiri.cli.backup import command
from hakoiri.cli.supervisor.preparation import Account
from hakoiri.host import settings as host_settings
from hakoiri.host.telemetry.backup_metrics import FILE_NAME, last_backup_s


@pytest.fixture
def run(site: Site, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setattr(command, "require_root", lambda: None)
    monkeypatch.setattr(host_settings, "load", lambda: site.settings)
    monkeypatch.delitem(os.environ, "HAKOIRI_CONFIG", raising=False)
    return CliRunner()


def test_made_checked_and_told(run: CliRunner, site: Site) -> None:
    made = run.invoke(command.app, ["create", str(site.backup), "--json"])
    assert made.exit_code == 0, made.output
    told = json.loads(made.stdout)
    assert (told["files"], told["not_in_it"]) == (9, [])
    checked = run.invoke(command.app, ["check", str(site.backup)])
    assert checked.exit_code == 0
    assert "9 files" in checked.stdout


def test_a_damaged_one_is_told_and_not_put_back(run: CliRunner, site: Site) -> None:
    run.invoke(command.app, ["create", str(site.backup)])
    (site.backup / "objects/tenants/t/packs/p1").write_text("rot")
    for word in ("check", "restore"):
        done = run.invoke(command.app, [word, str(site.backup)])
        assert done.exit_code == 1
        assert "objects/tenants/t/packs/p1 was changed" in done.stderr


def test_what_is_not_in_it_is_said(
    run: CliRunner, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = site.settings.model_copy(
        update={"database_url": "postgresql:///h", "object_store_url": "s3://bucket"}
    )
    monkeypatch.setattr(host_settings, "load", lambda: away)
    monkeypatch.setattr("hakoiri.cli.backup.places.account", lambda name: Account(name, 911, 911))
    for has_client, options in ((False, []), (True, ["--without-database"])):
        monkeypatch.setattr(command, "can_dump", lambda has=has_client: has)
        directory = f"{site.backup}-{has_client}"
        made = run.invoke(command.app, ["create", directory, *options])
        assert made.exit_code == 0, made.output
        assert "NOT in it: the database" in made.stdout
        assert "NOT in it: the object store" in made.stdout


def test_without_an_instance_there_is_nothing_to_save(run: CliRunner, site: Site) -> None:
    (site.settings.data_dir / "instance").unlink()
    done = run.invoke(command.app, ["create", str(site.backup)])
    assert done.exit_code == 1
    assert "has no instance" in done.stderr


def test_it_goes_back_only_where_nothing_is(run: CliRunner, site: Site, tmp_path: Path) -> None:
    run.invoke(command.app, ["create", str(site.backup)])
    assert run.invoke(command.app, ["restore", str(site.backup)]).exit_code == 1
    for name in ("data", "audit", "proxy"):
        (tmp_path / name).rename(tmp_path / f"{name}.old")
    done = run.invoke(command.app, ["restore", str(site.backup)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "data/instance").exists()


def test_the_server_is_told_of_a_backup_that_is_whole_and_of_no_other(
    run: CliRunner, site: Site
) -> None:
    data_dir = site.settings.data_dir
    run.invoke(command.app, ["create", str(data_dir / "inside")])
    assert last_backup_s(data_dir) == 0
    began_s = int(time.time())
    assert run.invoke(command.app, ["create", str(site.backup)]).exit_code == 0
    assert began_s <= last_backup_s(data_dir) <= time.time()
    assert not list(site.backup.rglob(FILE_NAME)), "which a restore would bring back"


def test_a_backup_is_whole_even_if_the_server_cannot_be_told(run: CliRunner, site: Site) -> None:
    (site.settings.data_dir / FILE_NAME).mkdir()
    made = run.invoke(command.app, ["create", str(site.backup)])
    assert made.exit_code == 0
    assert "the backup is whole, but its time cannot be written" in made.stderr
