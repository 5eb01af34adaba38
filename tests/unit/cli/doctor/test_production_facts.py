import asyncio
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.cli.doctor.test_engine_checks import ENGINE

from hakoiri.cli.doctor import production_facts
from hakoiri.cli.doctor.engine_facts import EngineUnknownError
from hakoiri.cli.doctor.production_facts import examine_production, gather
from hakoiri.host.adapters.sql.database import open_database
from hakoiri.host.adapters.sql.key_store import SqlKeyStore
from hakoiri.host.conversations.keys import KeyRing
from hakoiri.host.launch import AppArmorKnown
from hakoiri.host.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(production_facts, "read_engine", lambda _: ENGINE)
    return Settings(data_dir=tmp_path / "data", docker_host=f"unix://{tmp_path}/docker.sock")


def test_an_engine_that_is_away_is_told_with_the_reason(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(docker_host: str) -> None:
        raise EngineUnknownError("connection refused")

    monkeypatch.setattr(production_facts, "read_engine", away)
    facts = gather(settings)
    assert (facts.engine, facts.engine_problem) == (None, "connection refused")


def test_the_mode_of_the_engines_socket_is_seen_and_a_file_is_no_socket(
    settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "docker.sock"
    assert gather(settings).engine_socket_mode is None
    path.write_text("")
    assert gather(settings).engine_socket_mode is None
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o662)
        assert gather(settings).engine_socket_mode == 0o662
    assert gather(Settings(docker_host="tcp://127.0.0.1:1")).engine_socket_mode is None


def test_keys_are_counted_and_looking_makes_no_database(settings: Settings) -> None:
    assert gather(settings).valid_keys == 0
    assert not settings.data_dir.exists()

    settings.data_dir.mkdir()
    asyncio.run(make_keys(f"sqlite:///{settings.data_dir}/hakoiri.sqlite"))
    assert gather(settings).valid_keys == 1


async def make_keys(url: str) -> None:
    database = await open_database(url)
    keys = KeyRing(store=SqlKeyStore(database), clock=lambda: datetime.now(UTC))
    revoked, _ = await keys.create_key(name="revoked", tenant="t")
    await keys.revoke_key(revoked.id, tenant="t")
    await keys.create_key(name="valid", tenant="t")
    await database.close()


def test_a_broken_database_is_not_one_without_keys(settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "hakoiri.sqlite").write_bytes(b"not a database, however long it is" * 99)
    assert gather(settings).valid_keys is None


def test_the_kernels_log_counts_only_if_it_can_be_opened(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(production_facts, "KERNEL_LOG", tmp_path / "nothing")
    assert not gather(settings).kernel_log_is_readable
    (tmp_path / "log").write_text("")
    monkeypatch.setattr(production_facts, "KERNEL_LOG", tmp_path / "log")
    assert gather(settings).kernel_log_is_readable


def test_what_is_found_is_what_is_judged(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(production_facts, "read_apparmor", AppArmorKnown)
    (found,) = (one for one in examine_production(settings) if one.name == "production: apparmor")
    assert "the kernel has no AppArmor" in found.text
