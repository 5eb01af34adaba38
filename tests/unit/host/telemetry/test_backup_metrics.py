import stat
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from hakoiri.host.telemetry.backup_metrics import (
    FILE_NAME,
    BackupMetrics,
    last_backup_s,
    tell_backup,
)


def test_the_last_backup_is_told_and_none_is_told_as_well(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    registry.register(BackupMetrics(tmp_path))
    name = "hakoiri_backup_last_success_timestamp_seconds"
    assert f"{name} 0.0" in generate_latest(registry).decode()
    tell_backup(tmp_path, at_s=1000.7)
    tell_backup(tmp_path, at_s=1_764_000_000.2)
    assert f"{name} 1.764e+09" in generate_latest(registry).decode()
    assert last_backup_s(tmp_path) == 1_764_000_000
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o644, "root writes it, the server reads it"


@pytest.mark.parametrize("content", [b"", b"soon", b"-5", b"1e9", b"9" * 5000, "٣".encode()])
def test_anything_else_is_no_backup_or_a_number_of_bounded_length(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert len(str(last_backup_s(tmp_path))) <= 32


@pytest.mark.parametrize("name", [FILE_NAME, f"{FILE_NAME}.partial"])
def test_a_link_that_the_server_laid_leads_root_nowhere(tmp_path: Path, name: str) -> None:
    data, others = tmp_path / "data", tmp_path / "others"
    data.mkdir()
    others.write_text("as it was")
    (data / name).symlink_to(others)
    assert last_backup_s(data) == 0
    tell_backup(data, at_s=5)
    assert others.read_text() == "as it was"
    assert last_backup_s(data) == 5


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(OSError, match="directory"):
        tell_backup(tmp_path, at_s=5)
    assert last_backup_s(tmp_path) == 0
