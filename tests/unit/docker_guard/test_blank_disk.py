import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.docker_guard import blank_disk
from hakoiri.docker_guard.blank_disk import (
    GROUP_BYTES,
    MIB,
    BlankDisks,
    FormatError,
    find_program,
    inodes_at_most,
)


@given(st.integers(16, 65_536), st.integers(256, 16_777_216))
def test_inodes_are_never_more_than_asked_for_and_hardly_fewer(mib: int, inodes: int) -> None:
    groups = -(-mib * MIB // GROUP_BYTES)
    found = inodes_at_most(mib * MIB, inodes)
    assert found % (16 * groups) == 0
    assert inodes - 16 * groups < found <= max(inodes, 16 * groups)


def test_a_blank_is_made_once_and_is_a_sound_file_system_of_its_size(tmp_path: Path) -> None:
    blanks = BlankDisks()
    blank = blanks.of(size_bytes=300 * MIB, inodes=5000)
    assert blanks.of(size_bytes=300 * MIB, inodes=5000) is blank
    path = tmp_path / "disk.img"
    with path.open("w+b") as file:
        blank.write_to(file.fileno())
    assert path.stat().st_size == 300 * MIB
    assert path.stat().st_blocks * 512 < MIB, "it is sparse"
    program = Path(find_program("mke2fs") or "")
    check = subprocess.run(
        [program.with_name("e2fsck"), "-f", "-n", path], capture_output=True, check=False
    )
    assert check.returncode == 0, check.stdout
    told = subprocess.run(
        [program.with_name("dumpe2fs"), "-h", path], capture_output=True, text=True, check=True
    ).stdout
    fields = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    assert fields["Inode count"].strip() == str(inodes_at_most(300 * MIB, 5000))
    assert fields["Reserved block count"].strip() == "0"
    assert "has_journal" not in fields["Filesystem features"]


def test_without_the_program_the_package_is_named_and_it_is_looked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blanks = BlankDisks()
    with monkeypatch.context() as without:
        without.setattr(blank_disk, "find_program", lambda _: None)
        with pytest.raises(FormatError, match="e2fsprogs"):
            blanks.of(size_bytes=16 * MIB, inodes=256)
    assert blanks.of(size_bytes=16 * MIB, inodes=256).size_bytes == 16 * MIB


def test_what_the_program_says_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FormatError, match=r"mke2fs cannot make a disk: .+"):
        BlankDisks().of(size_bytes=4096, inodes=16)
    monkeypatch.setattr(blank_disk, "find_program", lambda name: f"/nonexistent/{name}")
    with pytest.raises(FormatError, match="/nonexistent/mke2fs"):
        BlankDisks().of(size_bytes=16 * MIB, inodes=256)


def test_a_short_write_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blank = BlankDisks().of(size_bytes=16 * MIB, inodes=256)
    monkeypatch.setattr(os, "pwrite", lambda *_: 1)
    with (tmp_path / "disk.img").open("w+b") as file, pytest.raises(OSError, match="wrote 1 of"):
        blank.write_to(file.fileno())
