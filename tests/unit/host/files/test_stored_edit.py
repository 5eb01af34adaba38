from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.host.files.trees import NOON

from hakoiri.host.files.manifest import Entry, Manifest
from hakoiri.host.files.manifest_format import encode_manifest
from hakoiri.host.files.packs import Pack, Part
from hakoiri.host.files.ports import EditRefusedError, NoSuchFileError
from hakoiri.host.files.stored_edit import with_file, without

HASH = "a" * 64


def file(path: bytes, mode: int = 0o644) -> Entry:
    return Entry(
        root="workspace", path=path, kind="file", mode=mode, mtime_ns=1, size=1, sha256=HASH
    )


def valid(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """A recovery point can be made of it."""
    encode_manifest(Manifest("w-1", None, 1, 0, None, NOON, entries))
    return entries


def test_a_file_comes_with_its_directories_and_keeps_its_mode() -> None:
    entries = valid(with_file([], file(b"a/b/c", 0o600)))
    assert [(entry.path, entry.kind) for entry in entries] == [
        (b"a", "directory"),
        (b"a/b", "directory"),
        (b"a/b/c", "file"),
    ]
    part = Part(Pack(HASH, "none", 1, 1), 0, 1, HASH)
    again = valid(with_file(entries, replace(file(b"a/b/c", 0o644), parts=(part,))))
    assert (again[-1].mode, again[-1].parts) == (0o600, (part,))
    assert again[-1].ctime_ns == 0


def test_what_is_in_the_way_is_told() -> None:
    link = Entry(
        root="workspace", path=b"l", kind="symlink", mode=0o777, mtime_ns=1, target=b"/etc"
    )
    entries = valid(with_file([link], file(b"d/f")))
    for path in (b"d", b"d/f/g", b"l/g"):
        with pytest.raises(EditRefusedError):
            with_file(entries, file(path))
    assert valid(with_file(entries, file(b"l")))[-1].kind == "file"


def test_a_directory_goes_with_all_in_it_and_no_neighbour() -> None:
    entries: tuple[Entry, ...] = ()
    for path in (b"a/1", b"a/2/3", b"a.txt", b"ab/c"):
        entries = with_file(entries, file(path))
    home = Entry(root="home", path=b"a", kind="directory", mode=0o700, mtime_ns=1)
    left = valid(without((home, *entries), b"a"))
    assert [(entry.root, entry.path) for entry in left] == [
        ("home", b"a"),
        ("workspace", b"a.txt"),
        ("workspace", b"ab"),
        ("workspace", b"ab/c"),
    ]
    with pytest.raises(NoSuchFileError):
        without(left, b"a")


names = st.sampled_from([b"a", b"b", b"a.b", b"\xff"])
paths = st.lists(names, min_size=1, max_size=4).map(b"/".join)


@given(changes=st.lists(st.tuples(st.booleans(), paths), max_size=20))
def test_whatever_is_changed_a_recovery_point_can_be_made_of_it(
    changes: list[tuple[bool, bytes]],
) -> None:
    entries: tuple[Entry, ...] = ()
    for is_put, path in changes:
        try:
            entries = with_file(entries, file(path)) if is_put else without(entries, path)
        except (EditRefusedError, NoSuchFileError):
            continue
        valid(entries)
        assert is_put == any(entry.path == path for entry in entries)
