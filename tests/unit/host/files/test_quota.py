import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.host.files.trees import NOON

from hakoiri.host.files.manifest import Entry, Manifest
from hakoiri.host.files.paths import Root
from hakoiri.host.files.ports import FilesError, QuotaError
from hakoiri.host.files.quota import DiskUse, TreeUse, check_fits, nearly_full, total_use

MIB = 1024 * 1024
EMPTY = DiskUse(used_bytes=0, quota_bytes=MIB, used_inodes=10, quota_inodes=110)
USE = TreeUse(workspace=EMPTY, home=EMPTY)


def manifest(*entries: Entry) -> Manifest:
    return Manifest("ws", None, 1, 7, None, NOON, entries)


def file(path: bytes, size: int, root: Root = "workspace") -> Entry:
    return Entry(root, path, "file", 0o644, 5, size=size, sha256="ab" * 32)


def test_what_fits_to_the_last_block_and_inode_fits() -> None:
    check_fits(
        manifest(file(b"f", MIB - 4096), Entry("workspace", b"d", "directory", 0o755, 5)), USE
    )
    check_fits(manifest(*(file(b"%d" % number, 0) for number in range(100))), USE)
    short = Entry("workspace", b"l", "symlink", 0o777, 5, target=b"t" * 59)
    check_fits(manifest(file(b"f", MIB), short), USE)


@pytest.mark.parametrize("root", ["workspace", "home"])
def test_what_does_not_fit_is_refused_with_both_numbers_and_the_setting(root: Root) -> None:
    with pytest.raises(
        QuotaError, match=rf"needs 1052672 bytes in the {root}, over the 1048576 .*{root}_mib"
    ):
        check_fits(manifest(file(b"f", MIB + 1, root)), USE)
    with pytest.raises(QuotaError, match=rf"needs 101 inodes in the {root}, over the 100 .*inodes"):
        check_fits(manifest(*(file(b"%d" % number, 0, root) for number in range(101))), USE)


def test_directories_and_long_links_take_a_block() -> None:
    long = Entry("workspace", b"l", "symlink", 0o777, 5, target=b"t" * 60)
    for more in (long, Entry("workspace", b"d", "directory", 0o755, 5)):
        with pytest.raises(QuotaError, match="bytes"):
            check_fits(manifest(file(b"f", MIB), more), USE)


def test_what_is_used_already_counts() -> None:
    half = DiskUse(used_bytes=MIB // 2, quota_bytes=MIB, used_inodes=10, quota_inodes=110)
    with pytest.raises(QuotaError, match="over the 524288"):
        check_fits(manifest(file(b"f", MIB)), TreeUse(workspace=half, home=EMPTY))


@given(used=st.integers(0, 1000), inodes=st.integers(0, 1000))
def test_nearly_full_is_over_nine_tenths_of_either(used: int, inodes: int) -> None:
    disk = DiskUse(used_bytes=used, quota_bytes=1000, used_inodes=inodes, quota_inodes=1000)
    assert disk.is_nearly_full == (used > 900 or inodes > 900)
    assert disk.fullest_percent == max(used, inodes) // 10


def test_each_disk_that_is_nearly_full_is_named() -> None:
    full = DiskUse(used_bytes=95 * MIB, quota_bytes=100 * MIB, used_inodes=11, quota_inodes=110)
    assert nearly_full(USE) == []
    assert nearly_full(TreeUse(workspace=full, home=EMPTY)) == [
        "/workspace is 95 % full: 95 of 100 MiB and 11 of 110 inodes."
    ]
    assert "home directory is 95 % full" in nearly_full(TreeUse(workspace=EMPTY, home=full))[0]


def test_a_disk_that_has_no_size_is_not_divided_by() -> None:
    assert DiskUse(0, 0, 0, 0).fullest_percent == 0


def test_the_disk_itself_is_asked_and_many_are_summed(tmp_path: Path) -> None:
    about = os.statvfs(tmp_path)
    use = DiskUse.of(tmp_path)
    assert use.quota_bytes <= about.f_blocks * about.f_frsize
    assert 0 < use.used_bytes <= use.quota_bytes
    gone = tmp_path / "gone"
    with pytest.raises(FilesError, match="gone is: No such file"):
        TreeUse.of(workspace=gone, home=gone)
    used_bytes, _ = total_use([(tmp_path, tmp_path), (gone, tmp_path)])
    assert used_bytes > 0
    assert total_use([(gone, gone)]) == (0, 0)
