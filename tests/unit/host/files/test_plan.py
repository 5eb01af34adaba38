import stat
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.host.files.trees import names

from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.packs import Pack, Part
from hakoiri.host.files.plan import (
    Found,
    LeftOut,
    Scan,
    found_of,
    in_order,
    is_unchanged,
    make_plan,
)

KNOWN = Entry("workspace", b"f", "file", 0o644, 5, size=3, sha256="ab" * 32, ctime_ns=7)
FOUND = Found("workspace", b"f", "file", 0o644, 5, 7, size=3)


@dataclass(frozen=True)
class Status:
    st_mode: int = stat.S_IFREG | 0o644
    st_size: int = 3
    st_mtime_ns: int = 5
    st_ctime_ns: int = 7


def test_a_file_that_is_the_same_is_kept_without_reading() -> None:
    plan = make_plan([KNOWN], Scan((), same=(KNOWN,)))
    assert (plan.upload, plan.keep, plan.delete) == ((), (KNOWN,), ())


def test_a_file_that_is_not_is_read_and_nothing_of_it_kept_or_deleted() -> None:
    other = replace(KNOWN, path=b"g")
    plan = make_plan([KNOWN, other], Scan((FOUND,), same=(other,)))
    assert (plan.upload, plan.keep, plan.delete) == ((FOUND,), (other,), ())


def test_what_is_kept_is_in_the_order_of_the_manifest() -> None:
    entries = [replace(KNOWN, path=name) for name in (b"a", b"b", b"c", b"d")]
    seen = Scan((), same=(entries[3], entries[0], entries[2]))
    assert make_plan(entries, seen).keep == (entries[0], entries[2], entries[3])


def test_the_same_file_in_an_object_that_is_not_wanted_is_read_anew() -> None:
    part = Part(Pack("a" * 64, "none", 100, 90), 0, 3, "ab" * 32)
    moved, stays = replace(KNOWN, parts=(part,)), replace(KNOWN, path=b"g", parts=())
    folder = Entry("workspace", b"h", "directory", 0o755, 5)
    entries = [moved, stays, folder]
    plan = make_plan(entries, Scan((), same=tuple(entries)), without=frozenset(["a" * 64]))
    assert (plan.upload, plan.keep, plan.delete) == ((found_of(moved),), (stays, folder), ())
    assert found_of(moved) == FOUND


def test_the_same_stat_is_the_same_file() -> None:
    assert is_unchanged(KNOWN, Status())
    assert is_unchanged(KNOWN, Status(st_mode=stat.S_IFREG | 0o4644))  # dropped when it was saved


@pytest.mark.parametrize(
    "status",
    [
        Status(st_size=4),
        Status(st_mtime_ns=6),
        Status(st_mode=stat.S_IFREG | 0o755),
        Status(st_mode=stat.S_IFIFO | 0o644),
        Status(st_mode=stat.S_IFLNK | 0o644),
    ],
)
def test_any_other_stat_means_reading(status: Status) -> None:
    assert not is_unchanged(KNOWN, status)


def test_a_forged_mtime_is_seen_through_by_the_ctime() -> None:
    assert not is_unchanged(KNOWN, Status(st_ctime_ns=8))


def test_a_ctime_that_was_too_fresh_means_reading() -> None:
    assert not is_unchanged(replace(KNOWN, ctime_ns=0), Status(st_ctime_ns=0))


def test_what_is_no_file_is_never_the_same_file() -> None:
    folder = Entry("workspace", b"f", "directory", 0o644, 5, size=3, ctime_ns=7)
    assert not is_unchanged(folder, Status())


def test_what_is_no_longer_there_is_deleted() -> None:
    assert make_plan([KNOWN], Scan(())).delete == (KNOWN,)


def test_directories_and_symlinks_are_taken_as_they_are_seen() -> None:
    link = Found("home", b"l", "symlink", 0o777, 1, 2, target=b"/etc/shadow")
    folder = Found("home", b"d", "directory", 0o700, 1, 2)
    plan = make_plan([], Scan((link, folder)))
    assert plan.upload == ()
    assert plan.keep == (
        Entry("home", b"l", "symlink", 0o777, 1, target=b"/etc/shadow"),
        Entry("home", b"d", "directory", 0o700, 1),
    )


def test_a_file_that_became_a_symlink_is_not_kept() -> None:
    link = Found("workspace", b"f", "symlink", 0o777, 5, 7, target=b"x")
    plan = make_plan([KNOWN], Scan((link,)))
    assert [entry.kind for entry in plan.keep] == ["symlink"]
    assert plan.delete == ()


def test_what_could_not_be_looked_at_stays_as_it_was_saved() -> None:
    below = replace(KNOWN, path=b"d/e/f")
    other = replace(KNOWN, path=b"other")
    scan = Scan((), unread=frozenset({("workspace", b"d")}))
    plan = make_plan([below, other], scan)
    assert (plan.keep, plan.delete) == ((below,), (other,))


def test_a_root_that_could_not_be_looked_at_keeps_only_its_own() -> None:
    mine, foreign = replace(KNOWN, root="home"), KNOWN
    scan = Scan((), unread=frozenset({("home", b"")}))
    assert make_plan([mine, foreign], scan).keep == (mine,)


def test_an_entry_without_its_directory_is_dropped() -> None:
    folder = Entry("workspace", b"d", "directory", 0o755, 0)
    inside = replace(KNOWN, path=b"d/f")
    assert in_order([inside, folder]) == (folder, inside)
    assert in_order([inside, replace(KNOWN, path=b"d")]) == (replace(KNOWN, path=b"d"),)


def test_a_reported_line_cannot_forge_another() -> None:
    assert str(LeftOut("workspace", b"a\nb", "a FIFO")) == "workspace/a%0Ab: a FIFO"


small = st.builds(
    Entry,
    st.sampled_from(["workspace", "home"]),
    names,
    st.just("file"),
    st.just(0o644),
    st.integers(0, 2),
    size=st.integers(0, 2),
    sha256=st.just("ab" * 32),
    ctime_ns=st.integers(0, 2),
)


@given(st.lists(small, max_size=8), st.lists(small, max_size=8), st.data())
def test_every_path_is_uploaded_kept_or_deleted_and_never_two_of_them(
    before: list[Entry], now: list[Entry], data: st.DataObject
) -> None:
    previous = {entry.place: entry for entry in before}
    same = data.draw(st.sets(st.sampled_from(sorted(previous)))) if previous else set()
    found = {entry.place: found_of(entry) for entry in now if entry.place not in same}
    plan = make_plan(
        list(previous.values()),
        Scan(tuple(found.values()), same=tuple(previous[place] for place in same)),
    )

    upload = {item.place for item in plan.upload}
    keep = {item.place for item in plan.keep}
    delete = {item.place for item in plan.delete}
    assert upload == set(found)
    assert keep == same
    assert delete == set(previous) - set(found) - same
