import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

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


def test_of_two_at_once_neither_writes_into_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = KeptFile(tmp_path / "kept.json")
    is_written, may_go_on = Event(), Event()
    sync = os.fsync

    def wait_once(descriptor: int) -> None:
        if not is_written.is_set():
            is_written.set()
            may_go_on.wait(60)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", wait_once)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(file.write, "the first one, which is longer")
        assert is_written.wait(60)
        second = threads.submit(file.write, "second")
        with pytest.raises(TimeoutError):
            second.result(timeout=0.05)
        may_go_on.set()
        first.result(60)
        second.result(60)
    assert file.read() == b"second"


def test_one_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "kept.json").write_bytes(b"x" * (LIMIT_BYTES + 1))
    with pytest.raises(ValueError, match="more than"):
        KeptFile(tmp_path / "kept.json").read()
