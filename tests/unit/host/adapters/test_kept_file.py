from pathlib import Path

import pytest

from hakoiri.host.adapters.kept_file import LIMIT_BYTES, KeptFile


def test_what_is_kept_comes_back_and_can_be_forgotten(tmp_path: Path) -> None:
    file = KeptFile(tmp_path / "kept.json")
    assert file.read() is None
    file.write("one")
    file.write("two")
    assert KeptFile(tmp_path / "kept.json").read() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]
    assert file.path.stat().st_mode & 0o777 == 0o600
    file.remove()
    file.remove()
    assert file.read() is None


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    file = KeptFile(tmp_path / "kept.json")
    file.write("one")
    (tmp_path / "kept.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        file.write("two")
    assert file.read() == b"one"


def test_one_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "kept.json").write_bytes(b"x" * (LIMIT_BYTES + 1))
    with pytest.raises(ValueError, match="more than"):
        KeptFile(tmp_path / "kept.json").read()
