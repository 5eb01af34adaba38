from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.cli.doctor.test_engine_checks import ENGINE

from hakoiri.audit.shipping.status import ShipStatus
from hakoiri.audit.told_file import write_told
from hakoiri.cli.doctor import checklist_facts
from hakoiri.cli.doctor.checklist_facts import gather, read_lifecycle
from hakoiri.host.settings import Settings
from hakoiri.image.engine import ImageDescription
from hakoiri.image.errors import ImageBuildError
from hakoiri.image.scan_record import ScanRecord, write_record
from hakoiri.image.signature import directory_of

IMAGE = "sha256:" + "a" * 64
NOW = datetime(2026, 11, 27, tzinfo=UTC)


class FakeImages:
    """An engine with one image."""

    def __init__(self, docker_host: str | None) -> None:
        del docker_host

    def describe(self, tag: str) -> ImageDescription:
        if tag != "ours":
            raise ImageBuildError("no such image")
        return ImageDescription(image_id=IMAGE, made=NOW)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(checklist_facts, "read_engine", lambda _: ENGINE)
    monkeypatch.setattr(checklist_facts, "Engine", FakeImages)
    return Settings.model_validate(
        {
            "data_dir": tmp_path / "data",
            "run_dir": tmp_path / "run",
            "container": {"image_signatures": tmp_path / "images"},
        }
    )


def test_the_note_of_this_images_scan_is_read_and_no_other(
    settings: Settings, tmp_path: Path
) -> None:
    assert gather(settings, image_reference=lambda: "ours").scan is None
    record = ScanRecord(image=IMAGE, at=NOW, findings=0, scanners={"trivy": "clean"})
    assert write_record(record, directory_of(tmp_path / "images", IMAGE)) is None
    assert gather(settings, image_reference=lambda: "ours").scan == record
    assert gather(settings, image_reference=lambda: "other").scan is None
    other = record.model_copy(update={"image": "sha256:b"})
    write_record(other, directory_of(tmp_path / "images", IMAGE))
    assert gather(settings, image_reference=lambda: "ours").scan is None


def test_what_the_shipper_told_is_read_and_looking_makes_no_instance(
    settings: Settings, tmp_path: Path
) -> None:
    assert gather(settings, image_reference=lambda: "ours").ship is None
    assert not settings.data_dir.exists()
    settings.data_dir.mkdir()
    (settings.data_dir / "instance").write_text("0123456789ab\n")
    (tmp_path / "run" / "ship").mkdir(parents=True)
    told = ShipStatus(told_at=1, targets=[])
    write_told(tmp_path / "run" / "ship" / "status.json", told)
    assert gather(settings, image_reference=lambda: "ours").ship == told


def test_a_process_is_found_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "12").mkdir()
    (tmp_path / "12" / "comm").write_text("falco\n")
    (tmp_path / "13").mkdir()
    assert checklist_facts._runs("falco", proc=tmp_path)
    assert not checklist_facts._runs("falc", proc=tmp_path)


@pytest.mark.parametrize("place", ["falco_rules.local.yaml", "rules.d/hakoiri_rules.yaml"])
def test_our_rules_are_found_where_falco_reads_them(tmp_path: Path, place: str) -> None:
    ours = Path(__file__).parents[4] / "deployment/falco/hakoiri_rules.yaml"
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    assert not checklist_facts._has_rules(tmp_path)
    path.write_text("- rule: another\n")
    assert not checklist_facts._has_rules(tmp_path)
    path.write_bytes(ours.read_bytes())
    assert checklist_facts._has_rules(tmp_path)
    assert not checklist_facts._has_rules(tmp_path / "none")


def test_a_directory_has_no_rules_and_a_bucket_without_a_key_says_so(settings: Settings) -> None:
    assert gather(settings, image_reference=lambda: "ours").lifecycle is None
    bucket = settings.model_copy(update={"object_store_url": "s3://files"})
    told = gather(bucket, image_reference=lambda: "ours").lifecycle
    assert told is not None
    assert told.rules is None
    assert "HAKOIRI_OBJECT_STORE__CREDENTIALS_FILE" in told.problem
    assert read_lifecycle(bucket, bucket="files") == told
