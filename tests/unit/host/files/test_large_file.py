import hashlib
import os
from pathlib import Path

import pytest

from hakoiri.host.files.large_file import WINDOW_BYTES, LargeFile
from hakoiri.host.files.packs import PACK_BYTES
from hakoiri.host.files.pieces import MOST_BYTES, Block


def blocks_of(file: LargeFile) -> list[Block]:
    return list(iter(file.next_block, None))


def content_of(file: LargeFile) -> bytes:
    return b"".join(block.plain for block in blocks_of(file))


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
    rest = content
    for block in blocks_of(file):
        assert rest.startswith(block.plain)
        for sha256, length in block.cuts:
            assert 0 < length <= MOST_BYTES
            assert hashlib.sha256(rest[:length]).hexdigest() == sha256
            rest = rest[length:]
    assert rest == b""
    assert file.digest() == hashlib.sha256(content).hexdigest()
    file.close()


@pytest.mark.parametrize("kind", ["random", "zeros"])
def test_a_block_is_a_pack_already_and_never_more_than_a_window(tmp_path: Path, kind: str) -> None:
    size = 4 * WINDOW_BYTES + 12345
    (tmp_path / "f").write_bytes(os.urandom(size) if kind == "random" else bytes(size))
    file = opened(tmp_path / "f")
    sizes = [len(block.plain) for block in blocks_of(file)]
    assert sum(sizes) == size
    assert all(PACK_BYTES <= size <= WINDOW_BYTES for size in sizes[:-1])
    assert sizes[-1] <= WINDOW_BYTES
    file.close()


def test_a_read_that_gives_less_than_it_could_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(WINDOW_BYTES + 1)
    (tmp_path / "f").write_bytes(content)
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, size, at: real(fd, min(size, 999_999), at))
    file = opened(tmp_path / "f")
    assert content_of(file) == content
    assert file.digest() == hashlib.sha256(content).hexdigest()
    file.close()


def test_no_more_is_read_than_was_admitted(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 100)
    file = opened(tmp_path / "f", size=60)
    assert content_of(file) == b"x" * 60
    file.close()


def test_a_file_that_got_shorter_ends_and_has_no_hash(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 100)
    file = opened(tmp_path / "f", size=WINDOW_BYTES * 2)
    assert content_of(file) == b"x" * 100
    assert file.digest() is None
    file.close()


def test_a_file_that_changed_has_no_hash(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 100)
    file = opened(tmp_path / "f", is_same=False)
    content_of(file)
    assert file.digest() is None
    file.close()
