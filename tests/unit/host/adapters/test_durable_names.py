from pathlib import Path

import pytest

from hakoiri.host.adapters import durable_names
from hakoiri.host.adapters.durable_names import DurableNames, sync_path

ROOT = Path("/store")


class Disk:
    """What was synchronised, in order; `fails` is what cannot be."""

    def __init__(self) -> None:
        self.synced: list[str] = []
        self.fails: str | None = None

    def sync(self, path: Path) -> None:
        if str(path) == self.fails:
            raise OSError(5, "Input/output error")
        self.synced.append(str(path))

    def since(self) -> list[str]:
        found, self.synced = self.synced, []
        return found


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def names(disk: Disk) -> DurableNames:
    return DurableNames(ROOT, sync=disk.sync)


def test_the_bytes_come_first_then_the_name_then_the_way_to_it(
    names: DurableNames, disk: Disk
) -> None:
    names.keep(ROOT / "a/b/file")
    assert disk.since() == ["/store/a/b/file", "/store/a/b", "/store/a", "/store"]


def test_a_way_that_is_known_is_not_synchronised_again(names: DurableNames, disk: Disk) -> None:
    names.keep(ROOT / "a/b/file")
    disk.since()
    names.keep(ROOT / "a/b/other")
    assert disk.since() == ["/store/a/b/other", "/store/a/b"]
    names.keep(ROOT / "a/c/other")
    assert disk.since() == ["/store/a/c/other", "/store/a/c", "/store/a"]


def test_a_file_in_the_root_itself(names: DurableNames, disk: Disk) -> None:
    names.keep(ROOT / "file")
    assert disk.since() == ["/store/file", "/store"]


@pytest.mark.parametrize("fails", ["/store/a/b/file", "/store/a/b", "/store/a", "/store"])
def test_what_failed_is_told_and_not_taken_for_known(
    names: DurableNames, disk: Disk, fails: str
) -> None:
    disk.fails = fails
    with pytest.raises(OSError, match="Input/output"):
        names.keep(ROOT / "a/b/file")
    disk.fails = None
    disk.since()
    names.keep(ROOT / "a/b/file")
    assert disk.since() == ["/store/a/b/file", "/store/a/b", "/store/a", "/store"]


def test_only_so_many_directories_are_remembered(
    names: DurableNames, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable_names, "REMEMBERED", 3)
    for name in "abc":
        names.keep(ROOT / name / "file")
    names.keep(ROOT / "d/file")  # one too many: all others are forgotten
    disk.since()
    names.keep(ROOT / "a/file")
    assert disk.since() == ["/store/a/file", "/store/a", "/store"]
    names.keep(ROOT / "d/file")
    assert disk.since() == ["/store/d/file", "/store/d"]


def test_files_and_directories_can_be_synchronised_and_what_is_missing_is_told(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    sync_path(tmp_path / "file")
    sync_path(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_path(tmp_path / "missing")
