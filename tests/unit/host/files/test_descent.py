import errno
import os
from pathlib import Path

import pytest

from hakoiri.host.files.descent import Descent, OutsideError
from hakoiri.host.files.ports import FilesError


def test_a_directory_is_reached_and_the_next_one_from_it(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "c").mkdir()
    with Descent(tmp_path) as descent:
        for path in (b"a/b", b"a/c", b"", b"a"):
            inode = os.fstat(descent.directory(path)).st_ino
            assert inode == (tmp_path / os.fsdecode(path)).stat().st_ino


@pytest.mark.parametrize("path", [b"link", b"link/x", b"a/link"])
def test_a_symlink_on_the_way_is_not_followed(tmp_path: Path, path: bytes) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("/etc")
    (tmp_path / "a" / "link").symlink_to("..")
    with Descent(tmp_path) as descent, pytest.raises(NotADirectoryError):
        descent.directory(path)


def test_a_symlink_at_the_end_is_not_opened_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    with Descent(tmp_path) as descent, pytest.raises(OSError, match="symbolic") as caught:
        descent.open_file(b"link")
    assert caught.value.errno == errno.ELOOP


@pytest.mark.parametrize("path", [b"..", b"a/../..", b".", b"a//b"])
def test_no_component_leads_up(tmp_path: Path, path: bytes) -> None:
    (tmp_path / "a").mkdir()
    with Descent(tmp_path) as descent, pytest.raises(OutsideError):
        descent.directory(path)


def test_a_directory_swapped_for_a_symlink_after_it_was_opened_stays_the_opened_one(
    tmp_path: Path,
) -> None:
    inside, outside = tmp_path / "root" / "d", tmp_path / "outside"
    inside.mkdir(parents=True)
    outside.mkdir()
    (inside / "f").write_bytes(b"inside")
    (outside / "f").write_bytes(b"outside")
    with Descent(tmp_path / "root") as descent:
        descent.directory(b"d")
        inside.rename(tmp_path / "root" / "away")
        inside.symlink_to(outside)
        descriptor = descent.open_file(b"d/f")
        assert os.read(descriptor, 10) == b"inside"
        os.close(descriptor)


def test_opening_a_fifo_does_not_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with Descent(tmp_path) as descent:
        os.close(descent.open_file(b"fifo"))


def test_a_mount_is_not_crossed() -> None:
    with Descent(Path("/")) as descent, pytest.raises(OutsideError, match="another file system"):
        descent.directory(b"proc")


def test_a_root_that_is_no_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(FilesError, match="cannot be opened as a directory"):
        Descent(tmp_path / "missing")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(FilesError, match="cannot be opened as a directory"):
        Descent(tmp_path / "link")


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only the count matters
    with Descent(tmp_path) as descent:
        descent.directory(b"a/b")
        with pytest.raises(FileNotFoundError):
            descent.directory(b"a/missing")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
