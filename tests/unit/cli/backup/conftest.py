import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from hakoiri.cli.backup.places import Places, places
from hakoiri.host import settings as host_settings
from hakoiri.host.settings import Settings

INSTANCE = "0123456789ab"


@dataclass(frozen=True, slots=True)
class Site:
    """An installation's files, as a server leaves them."""

    root: Path
    settings: Settings
    found: Places

    @property
    def backup(self) -> Path:
        return self.root / "backup"


def settings_in(root: Path, **more: object) -> Settings:
    return host_settings.load(
        data_dir=root / "data",
        proxy={
            "file": root / "etc/proxy.toml",
            "env_file": root / "etc/proxy.env",
            "state_dir": root / "proxy",
        },
        audit={"dir": root / "audit"},
        **more,
    )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    settings = settings_in(tmp_path)
    found = places(settings, INSTANCE)
    data = settings.data_dir
    for file, text in {
        data / "instance": f"{INSTANCE}\n",
        data / "lock": "",
        data / "warm_pool.json": "{}",
        data / "objects/tenants/t/packs/p1": "pack",
        tmp_path / "audit" / INSTANCE / "server/000000000000001.jsonl": "1\n2\n3 torn",
        tmp_path / "audit" / INSTANCE / "keeper/key.pem": "key",
        tmp_path / "audit" / INSTANCE / "keeper/heads.jsonl": "1\n",
        tmp_path / "proxy" / INSTANCE / "ca.pem": "ca",
        tmp_path / "proxy" / INSTANCE / "budgets.sqlite3": "locked",
        tmp_path / "etc/proxy.env": "A_KEY=secret\n",
    }.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "etc/proxy.env").chmod(0o600)
    with closing(sqlite3.connect(data / "hakoiri.sqlite")) as database:
        database.execute("CREATE TABLE t (n)")
        database.execute("INSERT INTO t VALUES (7)")
        database.commit()
    return Site(tmp_path, settings, found)
