import errno
import hashlib
import os
from pathlib import Path

import pytest
from tests.unit.host.files.trees import a_second_later

from hakoiri.host.files import file_reader
from hakoiri.host.files.descent import Descent
from hakoiri.host.files.file_reader import (
    BATCH_LIMIT_BYTES,
    SETTLED_NS,
    SMALL_FILE_LIMIT_BYTES,
    FileReader,
    GoneError,
    GrowthBudget,
    LargeReading,
    ReadRefusedError,
)
from hakoiri.host.files.large_file import LargeFile
from hakoiri.host.files.plan import Found
from hakoiri.host.files.ports import LiveTree
from hakoiri.host.files.scan import CHANGING, ScanLimits, scan

GROWTH_BYTES = 10 * 1024 * 1024


def reader_of(
    tree: LiveTree, *, growth_bytes: int = GROWTH_BYTES, limits: ScanLimits | None = None
) -> FileReader:
    return FileReader(
        tree=tree,
        limits=limits or ScanLimits(),
        budget=GrowthBudget(growth_bytes),
        wall_ns=a_second_later,
    )


def found_in(tree: LiveTree) -> list[Found]:
    seen = scan(tree, limits=ScanLimits(), monotonic=lambda: 0.0)
    return [found for found in seen.found if found.kind == "file"]


def one_file(tree: LiveTree, content: bytes = b"abc") -> Found:
    (tree.workspace / "f").write_bytes(content)
    return found_in(tree)[0]


def test_a_small_file_is_read_with_its_hash(tree: LiveTree) -> None:
    result = reader_of(tree).read_small([one_file(tree)])
    [(entry, content)] = result.read
    assert content == b"abc"
    assert entry.sha256 == hashlib.sha256(b"abc").hexdigest()
    assert entry.size == 3
    assert entry.ctime_ns == (tree.workspace / "f").stat().st_ctime_ns


def test_a_change_in_the_same_clock_tick_is_not_trusted_next_time(tree: LiveTree) -> None:
    found = one_file(tree)
    ctime_ns = (tree.workspace / "f").stat().st_ctime_ns

    def ctime_when_read_at(wall_ns: int) -> int:
        budget = GrowthBudget(0)
        reader = FileReader(tree=tree, limits=ScanLimits(), budget=budget, wall_ns=lambda: wall_ns)
        return reader.read_small([found]).read[0][0].ctime_ns

    assert ctime_when_read_at(ctime_ns + SETTLED_NS) == ctime_ns
    assert ctime_when_read_at(ctime_ns + SETTLED_NS - 1) == 0


def test_a_file_that_became_a_symlink_is_refused(tree: LiveTree, tmp_path: Path) -> None:
    found = one_file(tree)
    (tmp_path / "secret").write_bytes(b"secret")
    (tree.workspace / "f").unlink()
    (tree.workspace / "f").symlink_to(tmp_path / "secret")
    result = reader_of(tree).read_small([found])
    assert result.read == []
    assert result.left_out[0][1].reason == "swapped for something else during the save"


def test_a_file_that_became_a_fifo_is_refused_without_waiting(tree: LiveTree) -> None:
    found = one_file(tree)
    (tree.workspace / "f").unlink()
    os.mkfifo(tree.workspace / "f")
    result = reader_of(tree).read_small([found])
    assert result.left_out[0][1].reason == "swapped for something else during the save"


def test_a_directory_on_the_way_that_became_a_symlink_is_refused(
    tree: LiveTree, tmp_path: Path
) -> None:
    (tree.workspace / "d").mkdir()
    (tree.workspace / "d" / "f").write_bytes(b"mine")
    found = found_in(tree)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_bytes(b"secret")
    (tree.workspace / "d").rename(tree.workspace / "e")
    (tree.workspace / "d").symlink_to(outside)
    result = reader_of(tree).read_small(found)
    assert result.read == []
    assert result.left_out[0][1].reason == "swapped for something else during the save"


def test_a_file_on_another_file_system_is_refused(tree: LiveTree) -> None:
    found = one_file(tree)
    with Descent(tree.workspace) as descent:
        descent.device += 1
        with pytest.raises(ReadRefusedError, match="another file system"):
            file_reader._open(descent, found)


@pytest.mark.parametrize("function", ["read_small", "open_large"])
def test_a_disk_that_fails_to_read_is_one_file_left_out(
    tree: LiveTree, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    def fail(descriptor: int, size: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    found = one_file(tree)
    monkeypatch.setattr(file_reader, "_read", fail)
    monkeypatch.setattr(LargeFile, "_read_window", lambda _: fail(0, 0))
    reader = reader_of(tree)
    if function == "read_small":
        said = reader.read_small([found]).left_out[0][1].reason
    else:
        reading = reader.open_large(found)
        with pytest.raises(ReadRefusedError) as caught:
            reading.next_block()
        reading.close()
        said = str(caught.value)
    assert said == "cannot be read: Input/output error"


def test_a_file_that_vanished_is_gone(tree: LiveTree) -> None:
    found = one_file(tree)
    (tree.workspace / "f").unlink()
    assert reader_of(tree).read_small([found]).gone == [found]
    with pytest.raises(GoneError):
        reader_of(tree).open_large(found)


def test_a_file_that_grew_over_the_budget_is_left_out(tree: LiveTree) -> None:
    found = one_file(tree)
    (tree.workspace / "f").write_bytes(b"abcdef")
    assert reader_of(tree, growth_bytes=3).read_small([found]).read
    result = reader_of(tree, growth_bytes=2).read_small([found])
    assert "over the workspace's limit" in result.left_out[0][1].reason


def test_a_file_that_grew_over_the_file_limit_is_left_out(tree: LiveTree) -> None:
    found = one_file(tree)
    os.truncate(tree.workspace / "f", 1024**4)
    result = reader_of(tree).read_small([found])
    assert "larger than the limit" in result.left_out[0][1].reason


def test_a_file_that_turns_out_large_is_only_named(tree: LiveTree) -> None:
    found = one_file(tree)
    os.truncate(tree.workspace / "f", SMALL_FILE_LIMIT_BYTES + 1)
    result = reader_of(tree).read_small([found])
    assert (result.read, result.large) == ([], [found])


def test_a_full_batch_gives_the_rest_back(tree: LiveTree) -> None:
    for number in range(6):
        (tree.workspace / str(number)).write_bytes(b"x" * SMALL_FILE_LIMIT_BYTES)
    found = found_in(tree)
    result = reader_of(tree).read_small(found)
    assert sum(len(content) for _, content in result.read) == BATCH_LIMIT_BYTES
    assert list(result.rest) == found[4:]


def change_during_reads(
    monkeypatch: pytest.MonkeyPatch, path: Path, function: str, *, times: int
) -> None:
    """Let the file change in each of the first `times` reads, after its bytes were taken."""
    real = getattr(file_reader, function)
    left = times

    def read_then_change(descriptor: int, size: int) -> object:
        nonlocal left
        content = real(descriptor, size)
        if left:
            left -= 1
            path.write_bytes(b"changed %d" % left)
            os.utime(path, ns=(left, left))
        return content

    monkeypatch.setattr(file_reader, function, read_then_change)


def test_a_file_that_changes_twice_is_read_a_third_time(
    tree: LiveTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = one_file(tree)
    change_during_reads(monkeypatch, tree.workspace / "f", "_read", times=2)
    [(entry, content)] = reader_of(tree).read_small([found]).read
    assert content == b"changed 0"
    assert entry.sha256 == hashlib.sha256(content).hexdigest()


def test_a_file_that_never_stops_changing_is_left_out(
    tree: LiveTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = one_file(tree)
    change_during_reads(monkeypatch, tree.workspace / "f", "_read", times=3)
    result = reader_of(tree).read_small([found])
    assert result.left_out[0][1].reason == CHANGING


def read_to_the_end(reading: LargeReading) -> bytes:
    return b"".join(block.plain for block in iter(reading.next_block, None))


def test_a_large_file_is_read_in_pieces_and_then_known_as_it_was(tree: LiveTree) -> None:
    content = os.urandom(3 * SMALL_FILE_LIMIT_BYTES + 5)
    reading = reader_of(tree).open_large(one_file(tree, content))
    assert read_to_the_end(reading) == content
    entry = reading.entry(())
    reading.close()
    assert entry is not None
    assert (entry.sha256, entry.size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert (entry.parts, entry.path) == ((), b"f")


def test_a_large_file_that_changed_meanwhile_is_told(tree: LiveTree) -> None:
    reading = reader_of(tree).open_large(one_file(tree, b"x" * (SMALL_FILE_LIMIT_BYTES + 5)))
    read_to_the_end(reading)
    (tree.workspace / "f").write_bytes(b"changed")
    assert reading.entry(()) is None
    reading.close()


def test_a_large_file_is_admitted_by_the_same_rules_and_closed_if_it_is_not(
    tree: LiveTree,
) -> None:
    found = one_file(tree, b"x" * 100)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only the count matters
    with pytest.raises(ReadRefusedError, match="larger than the limit of 99 bytes"):
        reader_of(tree, limits=ScanLimits(file_limit_bytes=99)).open_large(found)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
