import json
from pathlib import Path

import pytest

from hakoiri.cli.backup.listing import (
    BackupError,
    Entry,
    Head,
    damaged,
    read_head,
    read_listing,
    sha256_of,
    write_head,
    write_listing,
)


def head(list_sha256: str, **changed: object) -> Head:
    return Head.model_validate(
        {
            "format": 1,
            "version": "0.1.0",
            "instance": "0123456789ab",
            "made_at": "2026-01-02T03:04:05+00:00",
            "has_database": True,
            "has_objects": True,
            "list_sha256": list_sha256,
            **changed,
        }
    )


def entry(path: str, **changed: object) -> Entry:
    return Entry(**({"path": path, "mode": 0o600, "owner": "root", "group": "root"} | changed))  # type: ignore[arg-type]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    written = [entry("data", mode=0o700), entry("data/\udcff", sha256="00", bytes=3)]
    write_head(tmp_path, head(write_listing(tmp_path, written)))
    found = read_head(tmp_path)
    assert found.instance == "0123456789ab"
    assert read_listing(tmp_path, found) == written


def test_a_backup_that_was_not_finished_is_none(tmp_path: Path) -> None:
    write_listing(tmp_path, [entry("data")])
    with pytest.raises(BackupError, match="was not finished"):
        read_head(tmp_path)


def test_one_of_another_format_is_refused_with_the_version_that_reads_it(tmp_path: Path) -> None:
    write_head(tmp_path, head("00", format=2, version="9.0"))
    with pytest.raises(BackupError, match=r"has format 2.*use Hakoiri 9\.0"):
        read_head(tmp_path)


def test_a_list_that_was_changed_is_refused(tmp_path: Path) -> None:
    found = head(write_listing(tmp_path, [entry("data")]))
    path = tmp_path / "files.jsonl"
    path.write_text(path.read_text().replace("root", "toor"))
    with pytest.raises(BackupError, match="is not the one that was written"):
        read_listing(tmp_path, found)


@pytest.mark.parametrize("path", ["/etc/shadow", "data/../../x", "..", "", "."])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    found = head(write_listing(tmp_path, [entry(path)]))
    with pytest.raises(BackupError, match="leads out of the backup"):
        read_listing(tmp_path, found)


@pytest.mark.parametrize("line", ["{", "[]", '"x"', json.dumps({"path": "x"}), "1"])
def test_a_list_that_makes_no_sense_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "files.jsonl").write_text(line + "\n")
    with pytest.raises(BackupError, match="cannot be read"):
        read_listing(tmp_path, head("00"))


def test_damage_is_told_by_the_file(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("as it was")
    (tmp_path / "changed").write_text("as it is")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    same = sha256_of(tmp_path / "kept")
    entries = [
        entry("kept", sha256=same),
        entry("changed", sha256=same),
        entry("gone", sha256=same),
        entry("link", sha256=same),
        entry("directory"),
    ]
    said = list(damaged(tmp_path, entries))
    assert [line.split()[0].rstrip(":") for line in said] == [
        *("changed", "gone", "link", "directory"),
    ]
