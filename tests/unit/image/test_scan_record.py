from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hakoiri.image.scan_record import RECORD_NAME, ScanRecord, age_days, read_record, write_record

AT = datetime(2026, 11, 27, tzinfo=UTC)
RECORD = ScanRecord(
    image="sha256:a",
    at=AT,
    findings=0,
    scanners={"trivy": "clean", "grype": "not installed", "npm audit": "no answer"},
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    directory = tmp_path / "images" / "sha256-a"
    assert read_record(directory) is None
    for findings in (0, 2):
        record = RECORD.model_copy(update={"findings": findings})
        assert write_record(record, directory) is None
        assert read_record(directory) == record
    assert [path.name for path in directory.iterdir()] == [RECORD_NAME]
    assert age_days(RECORD, now=AT + timedelta(hours=36)) == 1.5


def test_only_those_that_answered_have_looked() -> None:
    assert RECORD.looked == ["trivy"]
    assert RECORD.is_clean
    assert not RECORD.model_copy(update={"scanners": {"grype": "vulnerable"}}).is_clean
    assert not RECORD.model_copy(update={"findings": 1}).is_clean


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[", b'{"image": "a", "at": "2026-11-27T00:00:00", "findings": 0}', b"\xff"],
)
def test_what_is_no_note_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RECORD_NAME).write_bytes(content)
    assert read_record(tmp_path) is None


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = write_record(RECORD, tmp_path / "file" / "below")
    assert told is not None
    assert "file" in told
