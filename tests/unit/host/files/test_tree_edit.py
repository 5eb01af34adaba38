"""Writes and removals in a tree that belongs to somebody hostile."""

import os
import shutil
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from hakoiri.host.files import tree_edit
from hakoiri.host.files.ports import (
    EditRefusedError,
    FilesError,
    LiveTree,
    NoSpaceError,
    NoSuchFileError,
)
from hakoiri.host.files.tree_edit import put_file, remove


@contextmanager
def source(content: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("sent")
    os.write(descriptor, content)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


CHANGES_LIMIT = 200_000
"""Changes against a thread that swaps, until one must have come through: some 10 seconds."""


def put(tree: LiveTree, path: bytes, content: bytes = b"new") -> None:
    with source(content) as descriptor:
        put_file(tree, path, descriptor, len(content))


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.rglob("*"))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    made = tmp_path / "outside"
    made.mkdir()
    (made / "secret").write_bytes(b"secret")
    return made


def is_untouched(outside: Path) -> bool:
    return names(outside) == ["secret"] and (outside / "secret").read_bytes() == b"secret"


@contextmanager
def swapping_before(number: int, way: Path, away: Path, outside: Path) -> Iterator[list[str]]:
    """Put a link to `outside` in the place of `way` before this thread's system call `number`.

    Yields the names of the calls that were made.
    """
    seen: list[str] = []

    def watch(_frame: object, event: str, called: object) -> None:
        if event != "c_call" or getattr(called, "__module__", "") != "posix":
            return
        seen.append(getattr(called, "__name__", ""))
        if len(seen) == number + 1:
            way.rename(away)
            way.symlink_to(outside)

    sys.setprofile(watch)
    try:
        yield seen
    finally:
        sys.setprofile(None)


def test_a_file_is_made_with_its_directories(tree: LiveTree) -> None:
    content = os.urandom(3 * 1024 * 1024)
    put(tree, b"a/b/\xff", content)
    written = tree.workspace / "a/b" / os.fsdecode(b"\xff")
    assert written.read_bytes() == content
    assert stat.S_IMODE(written.stat().st_mode) == 0o644
    assert stat.S_IMODE((tree.workspace / "a").stat().st_mode) == 0o755
    assert written.stat().st_uid == tree.owner_uid
    assert len(names(tree.workspace)) == 3


def test_a_file_is_replaced_and_keeps_its_permissions_but_no_set_id(tree: LiveTree) -> None:
    old = tree.workspace / "run"
    old.write_bytes(b"old")
    old.chmod(0o6755)
    with old.open("rb") as still_open:
        put(tree, b"run")
        assert still_open.read() == b"old"
    assert (old.read_bytes(), stat.S_IMODE(old.stat().st_mode)) == (b"new", 0o755)


def test_a_link_is_replaced_and_what_it_leads_to_is_not_touched(
    tree: LiveTree, outside: Path
) -> None:
    (tree.workspace / "link").symlink_to(outside / "secret")
    put(tree, b"link")
    assert not (tree.workspace / "link").is_symlink()
    assert is_untouched(outside)


@pytest.mark.parametrize("way", ["link", "fifo", "file"])
def test_a_way_that_is_no_directory_is_refused(tree: LiveTree, outside: Path, way: str) -> None:
    place = tree.workspace / "way"
    if way == "link":
        place.symlink_to(outside)
    elif way == "fifo":
        os.mkfifo(place)
    else:
        place.write_bytes(b"file")
    for path in (b"way/secret", b"way/deep/secret"):
        with pytest.raises(EditRefusedError):
            put(tree, path)
        with pytest.raises((EditRefusedError, NoSuchFileError)):
            remove(tree, path)
    assert is_untouched(outside)


@pytest.mark.parametrize("kind", ["fifo", "socket", "directory"])
def test_whatever_lies_there_is_not_opened(tree: LiveTree, kind: str) -> None:
    place = tree.workspace / "there"
    if kind == "fifo":
        os.mkfifo(place)
        put(tree, b"there")
        assert place.read_bytes() == b"new"
    elif kind == "socket":
        os.mknod(place, stat.S_IFSOCK | 0o600)
        put(tree, b"there")
        assert place.read_bytes() == b"new"
    else:
        place.mkdir()
        with pytest.raises(EditRefusedError, match="directory"):
            put(tree, b"there")
    assert names(tree.workspace) == ["there"]


def test_a_write_that_fails_leaves_nothing(tree: LiveTree, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with source(b"new") as descriptor:
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(NoSpaceError, match="raise the quota"):
            put_file(tree, b"a", descriptor, 3)
    assert names(tree.workspace) == []


def test_what_became_shorter_is_not_padded(tree: LiveTree) -> None:
    with source(b"ab") as descriptor, pytest.raises(FilesError, match="shorter"):
        put_file(tree, b"a", descriptor, 3)
    assert names(tree.workspace) == []


def test_a_directory_that_is_swapped_for_a_link_all_the_time_leads_nowhere(
    tree: LiveTree, outside: Path
) -> None:
    """ATTACKS: `way` is a directory in one moment and a link to the outside in the next."""
    real, link = tree.workspace / "real", tree.workspace / "link"
    way = os.fsencode(tree.workspace / "way")
    real.mkdir()
    link.symlink_to(outside)
    os.rename(real, way)  # noqa: PTH104 - names are bytes here
    done = threading.Event()

    def swap() -> None:
        moves = ((way, os.fsencode(real)), (os.fsencode(link), way))
        while not done.is_set():
            for old, new in (*moves, *((new, old) for old, new in reversed(moves))):
                with suppress(OSError):  # what is put may take a place in between
                    os.rename(old, new)  # noqa: PTH104
            if real.is_dir():
                shutil.rmtree(way, ignore_errors=True)

    swapping = threading.Thread(target=swap)
    swapping.start()
    outcomes: set[str] = set()
    try:
        for number in range(CHANGES_LIMIT):
            if number >= 300 and "done" in outcomes:  # a busy host may stop the other for long
                break
            for change in (put, remove):
                try:
                    change(tree, b"way/secret" if number % 2 else b"way/sub/secret")
                    outcomes.add("done")
                except FilesError as error:
                    outcomes.add(type(error).__name__)
    finally:
        done.set()
        swapping.join()
    assert is_untouched(outside)
    assert "done" in outcomes


@pytest.mark.parametrize("path", [b"way/secret", b"way/sub/secret"])
@pytest.mark.parametrize("change", [put, remove])
@pytest.mark.parametrize("lies_there", [False, True])
def test_a_directory_that_is_swapped_before_any_one_system_call_leads_nowhere(
    tree: LiveTree,
    outside: Path,
    path: bytes,
    change: Callable[[LiveTree, bytes], None],
    *,
    lies_there: bool,
) -> None:
    """The same, in each possible order: one swap, before each call in turn."""
    way, away = tree.workspace / "way", tree.workspace / "away"
    swapped_at = 0
    is_swapped = True
    while is_swapped:
        (way / "sub").mkdir(parents=True)
        if lies_there:
            (tree.workspace / os.fsdecode(path)).write_bytes(b"old")
        with swapping_before(swapped_at, way, away, outside) as seen, suppress(FilesError):
            change(tree, path)
        assert is_untouched(outside), f"swapped before call {swapped_at}"
        is_swapped = away.exists()
        swapped_at += 1
        assert seen, "no call was seen: nothing was tried"
        shutil.rmtree(away if is_swapped else way)
        way.unlink(missing_ok=True)
    assert swapped_at > 5


def test_a_tree_is_removed_with_all_in_it_and_no_link_is_followed(
    tree: LiveTree, outside: Path
) -> None:
    deep = tree.workspace / "a"
    for _ in range(40):
        deep /= "d"
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"x")
    (tree.workspace / "a/link").symlink_to(outside)
    os.mkfifo(tree.workspace / "a/fifo")
    (tree.workspace / "b").write_bytes(b"kept")
    remove(tree, b"a")
    assert names(tree.workspace) == ["b"]
    assert is_untouched(outside)


def test_what_is_not_there_is_told(tree: LiveTree) -> None:
    for path in (b"a", b"a/b"):
        with pytest.raises(NoSuchFileError):
            remove(tree, path)


def test_a_tree_that_is_too_deep_or_too_large_is_refused(
    tree: LiveTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree_edit, "DEPTH_LIMIT", 5)
    monkeypatch.setattr(tree_edit, "REMOVED_LIMIT", 10)
    (tree.workspace / "deep/1/2/3/4/5/6").mkdir(parents=True)
    (tree.workspace / "wide").mkdir()
    for number in range(40):
        (tree.workspace / f"wide/{number}").touch()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for path in (b"deep", b"wide"):
        with pytest.raises(EditRefusedError, match="by a command in the box"):
            remove(tree, path)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
