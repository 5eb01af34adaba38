from pathlib import Path

import pytest
from tests.unit.cli.backup.conftest import INSTANCE, settings_in

from hakoiri.cli.backup.places import places, settings_files
from hakoiri.cli.backup.postgresql_dump import PostgresqlDatabase
from hakoiri.cli.supervisor.preparation import Account


def test_by_default_all_is_on_this_host(tmp_path: Path) -> None:
    found = places(settings_in(tmp_path), INSTANCE)
    assert found.database == tmp_path / "data/hakoiri.sqlite"
    assert found.objects == tmp_path / "data/objects"
    assert found.audit == tmp_path / "audit" / INSTANCE
    assert found.proxy == tmp_path / "proxy" / INSTANCE


@pytest.mark.parametrize(
    ("more", "database", "objects"),
    [
        ({"database_url": "postgresql:///h?host=/run/postgresql"}, None, "data/objects"),
        ({"object_store_url": "s3://bucket/prefix"}, "data/hakoiri.sqlite", None),
        ({"database_url": "sqlite:////srv/h.db"}, "/srv/h.db", "data/objects"),
        ({"object_store_url": "file:///srv/objects"}, "data/hakoiri.sqlite", "/srv/objects"),
    ],
)
def test_what_is_elsewhere_is_found_or_known_to_be_away(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: dict[str, str],
    database: str | None,
    objects: str | None,
) -> None:
    monkeypatch.setattr("hakoiri.cli.backup.places.account", lambda name: Account(name, 911, 912))
    found = places(settings_in(tmp_path, **more), INSTANCE)
    assert found.database == (tmp_path / database if database else None)
    assert found.objects == (tmp_path / objects if objects else None)
    url = more.get("database_url", "")
    is_postgresql = url.startswith("postgresql")
    assert found.postgresql == (PostgresqlDatabase(url, 911, 912) if is_postgresql else None)


def test_the_order_leaves_nothing_named_that_is_not_there(tmp_path: Path) -> None:
    names = [tree.name for tree in places(settings_in(tmp_path), INSTANCE).trees()]
    assert names.index("audit/keeper") < names.index("audit")


def test_the_files_of_settings_and_secrets_are_those_that_are_named(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    named = settings_files(settings, {"HAKOIRI_CONFIG": "/etc/hakoiri/hakoiri.toml"})
    assert named == [
        Path("/etc/hakoiri/hakoiri.toml"),
        tmp_path / "etc/proxy.toml",
        tmp_path / "etc/proxy.env",
    ]
    assert settings_files(settings, {})[0] == tmp_path / "etc/proxy.toml"
