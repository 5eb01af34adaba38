import errno
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.unit.audit.chains import AT

from hakoiri.audit.chain import ChainError, Position
from hakoiri.audit.head_files import HeadFiles, read_signed_heads
from hakoiri.audit.heads import HeadSigner
from hakoiri.audit.segments import AuditFilesError

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key()


def head(sequence: int) -> bytes:
    return HeadSigner(KEY).sign("server", Position(sequence, "a" * 64), at=AT)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def read(directory: Path) -> list[int]:
    return sorted(read_signed_heads(directory, public=PUBLIC).get("server", {}))


def test_a_full_file_is_followed_by_one_named_by_its_first_line(tmp_path: Path) -> None:
    files = HeadFiles(tmp_path, segment_bytes=len(head(1)) * 2)
    files.append([head(1)])
    files.append([head(2), head(3)])
    files.append([head(4)])
    again = HeadFiles(tmp_path, segment_bytes=1)
    again.append([head(5)])
    again.append([head(6)])
    assert names(tmp_path) == [f"{first:015d}.jsonl" for first in (1, 4, 5, 6)]
    assert read(tmp_path) == [1, 2, 3, 4, 5, 6]
    assert (tmp_path / names(tmp_path)[0]).stat().st_mode & 0o777 == 0o640


def test_what_a_crash_left_torn_is_cut_off(tmp_path: Path) -> None:
    HeadFiles(tmp_path).append([head(1)])
    path = tmp_path / names(tmp_path)[0]
    path.write_bytes(path.read_bytes() + head(2)[:-9])
    HeadFiles(tmp_path).append([head(3)])
    assert read(tmp_path) == [1, 3]


def test_a_head_that_was_torn_in_the_middle_does_not_hide_those_after_it(tmp_path: Path) -> None:
    (tmp_path / f"{1:015d}.jsonl").write_bytes(head(1) + head(2)[:-9])
    (tmp_path / f"{3:015d}.jsonl").write_bytes(head(3))
    assert read(tmp_path) == [1, 3]


def test_a_head_that_comes_twice_counts_once(tmp_path: Path) -> None:
    (tmp_path / f"{1:015d}.jsonl").write_bytes(head(1) + head(2))
    (tmp_path / f"{2:015d}.jsonl").write_bytes(head(2) + head(3))
    assert read(tmp_path) == [1, 2, 3]


def test_heads_of_another_key_are_refused_and_none_are_none(tmp_path: Path) -> None:
    assert read(tmp_path / "none") == []
    assert read(tmp_path) == []
    HeadFiles(tmp_path).append([head(1)])
    with pytest.raises(ChainError, match="not signed"):
        read_signed_heads(tmp_path, public=Ed25519PrivateKey.generate().public_key())


def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"")
    directory = tmp_path / "heads"
    directory.mkdir()
    (directory / f"{1:015d}.jsonl").symlink_to(other)
    with pytest.raises(AuditFilesError, match="cannot read"):
        read_signed_heads(directory, public=PUBLIC)
    with pytest.raises(OSError, match="symbolic"):
        HeadFiles(directory).append([head(1)])
    assert other.read_bytes() == b""


def test_a_disk_that_is_full_leaves_no_half_of_a_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = HeadFiles(tmp_path)
    files.append([head(1)])
    write = os.write
    room = [len(head(2)) // 2]

    def until_full(descriptor: int, data: bytes) -> int:
        if not room:
            raise OSError(errno.ENOSPC, "no space")
        return write(descriptor, data[: room.pop()])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", until_full)
        with pytest.raises(OSError, match="no space"):
            files.append([head(2)])
    files.append([head(3)])
    assert read(tmp_path) == [1, 3]
