import os
import socket
from pathlib import Path

import pytest

from hakoiri.cli.backup.copying import Copies
from hakoiri.cli.backup.listing import Entry


def copied(source: Path, backup: Path, without: str | None = None) -> dict[str, Entry]:
    return {entry.path: entry for entry in Copies(backup).tree(source, "t", without=without)}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "source"
    (made / "inner").mkdir(parents=True)
    (made / "inner/file").write_bytes(b"x" * 3_000_000)
    (made / "inner/file").chmod(0o640)
    return made


def test_files_and_directories_come_with_their_modes_and_owners(
    source: Path, tmp_path: Path
) -> None:
    entries = copied(source, tmp_path / "backup")
    assert set(entries) == {"t", "t/inner", "t/inner/file"}
    assert (entries["t/inner/file"].mode, entries["t/inner/file"].bytes) == (0o640, 3_000_000)
    assert entries["t"].is_directory
    assert not entries["t/inner/file"].is_directory
    assert (tmp_path / "backup/t/inner/file").read_bytes() == b"x" * 3_000_000
    assert (tmp_path / "backup/t/inner/file").stat().st_mode & 0o777 == 0o600


def test_no_link_is_followed_and_nothing_but_files_is_taken(source: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("of somebody else")
    (source / "link").symlink_to(outside / "secret")
    (source / "inner/directory").symlink_to(outside)
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(source / "socket"))
        entries = copied(source, tmp_path / "backup")
    assert set(entries) == {"t", "t/inner", "t/inner/file"}
    assert "of somebody else" not in "".join(
        path.read_text() for path in (tmp_path / "backup").rglob("*") if path.is_file()
    )


@pytest.mark.parametrize(
    ("written", "kept"), [("1\n2\n3", "1\n2\n"), ("1\n", "1\n"), ("torn", ""), ("", "")]
)
def test_of_a_log_only_whole_lines_are_taken(
    source: Path, tmp_path: Path, written: str, kept: str
) -> None:
    (source / "log.jsonl").write_text(written)
    entries = copied(source, tmp_path / "backup")
    assert (tmp_path / "backup/t/log.jsonl").read_text() == kept
    assert entries["t/log.jsonl"].bytes == len(kept)


def test_a_log_larger_than_a_block_is_whole(source: Path, tmp_path: Path) -> None:
    lines = b"".join(b"%d %s\n" % (number, b"y" * 1000) for number in range(3000))
    (source / "log.jsonl").write_bytes(lines + b"torn")
    copied(source, tmp_path / "backup")
    assert (tmp_path / "backup/t/log.jsonl").read_bytes() == lines


def test_what_is_left_out_is_left_out(source: Path, tmp_path: Path) -> None:
    (source / "books.1").write_text("x")
    assert "t/books.1" not in copied(source, tmp_path / "backup", without="books")


def test_what_was_taken_before_is_not_taken_again(source: Path, tmp_path: Path) -> None:
    copies = Copies(tmp_path / "backup")
    first = [entry.path for entry in copies.tree(source / "inner", "t/inner")]
    (source / "inner/file").write_text("grown")
    second = [entry.path for entry in copies.tree(source, "t")]
    assert (first, second) == (["t/inner", "t/inner/file"], ["t"])
    assert (tmp_path / "backup/t/inner/file").stat().st_size == 3_000_000


def test_a_single_file_may_be_missing(source: Path, tmp_path: Path) -> None:
    copies = Copies(tmp_path / "backup")
    assert list(copies.file(source / "nothing", "one")) == []
    assert [entry.path for entry in copies.file(source / "inner/file", "deep/one")] == ["deep/one"]
