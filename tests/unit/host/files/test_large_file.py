import hashlib
import os
from pathlib import Path

import pytest

from hakoiri.host.files.large_file import WINDOW_BYTES, LargeFile
from hakoiri.host.files.pieces import MOST_BYTES


def pieces_of(file: LargeFile) -> list[tuple[str, bytes]]:
    return [piece for pieces in iter(file.next_pieces, []) for piece in pieces]


def opened(path: Path, *, size: int | None = None, is_same: bool = True) -> LargeFile:
    descriptor = os.open(path, os.O_RDONLY)
    return LargeFile(
        descriptor, path.stat().st_size if size is None else size, is_same=lambda: is_same
    )


@pytest.mark.parametrize("size", [0, 1, WINDOW_BYTES, WINDOW_BYTES + 1, 3 * WINDOW_BYTES - 7])
def test_pieces_are_the_file_in_order_with_their_hashes(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "f").write_bytes(content)
    file = opened(tmp_path / "f")
    pieces = pieces_of(file)
    assert b"".join(piece for _, piece in pieces) == content
    assert all(hashlib.sha256(piece).hexdigest() == sha256 for sha256, piece in pieces)
    assert max((len(piece) for _, piece in pieces), default=0) <= MOST_BYTES
    assert file.digest() == hashlib.sha256(content).hexdigest()
    file.close()


def test_no_more_is_read_than_was_admitted(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 100)
    file = opened(tmp_path / "f", size=60)
    assert b"".join(piece for _, piece in pieces_of(file)) == b"x" * 60
    file.close()


def test_a_file_that_got_shorter_ends_and_has_no_hash(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 100)
    file = opened(tmp_path / "f", size=WINDOW_BYTES * 2)
    assert b"".join(piece for _, piece in pieces_of(file)) == b"x" * 100
    assert file.digest() is None
    file.close()


def test_a_file_that_changed_has_no_hash(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 100)
    file = opened(tmp_path / "f", is_same=False)
    pieces_of(file)
    assert file.digest() is None
    file.close()
