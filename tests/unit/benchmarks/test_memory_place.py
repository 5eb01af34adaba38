from pathlib import Path

import pytest
from benchmarks import memory_place as module
from benchmarks.memory_place import RESERVE_BYTES, available_bytes, memory_place


def test_memory_is_taken_where_there_is_room_and_a_reserve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "available_bytes", lambda: RESERVE_BYTES + 10)
    assert memory_place(10, place=tmp_path) == tmp_path
    assert memory_place(11, place=tmp_path) is None
    assert memory_place(10, place=tmp_path / "missing") is None


def test_the_file_system_must_have_room_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "available_bytes", lambda: 2**60)
    assert memory_place(2**59, place=tmp_path) is None


def test_the_kernels_own_count_is_read(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  9 kB\nMemAvailable:       7 kB\n")
    assert available_bytes(tmp_path / "meminfo") == 7 * 1024
    (tmp_path / "meminfo").write_text("MemTotal:  9 kB\n")
    assert available_bytes(tmp_path / "meminfo") == 0
    assert available_bytes() > 0
