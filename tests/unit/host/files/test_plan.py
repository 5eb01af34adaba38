from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.host.files.trees import names

from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.plan import Found, LeftOut, Scan, in_order, is_unchanged, make_plan

KNOWN = Entry("workspace", b"f", "file", 0o644, 5, size=3, sha256="ab" * 32, ctime_ns=7)
FOUND = Found("workspace", b"f", "file", 0o644, 5, 7, size=3)


def test_a_file_with_the_same_stat_is_kept_without_reading() -> None:
    plan = make_plan([KNOWN], Scan((FOUND,)))
    assert (plan.upload, plan.keep, plan.delete) == ((), (KNOWN,), ())


def test_any_other_stat_means_reading() -> None:
    assert is_unchanged(KNOWN, FOUND)
    assert not is_unchanged(KNOWN, FOUND._replace(size=4))
    assert not is_unchanged(KNOWN, FOUND._replace(mtime_ns=6))
    assert not is_unchanged(KNOWN, FOUND._replace(mode=0o755))


def test_a_forged_mtime_is_seen_through_by_the_ctime() -> None:
    plan = make_plan([KNOWN], Scan((FOUND._replace(ctime_ns=8),)))
    assert plan.upload == (FOUND._replace(ctime_ns=8),)


def test_a_ctime_that_was_too_fresh_means_reading() -> None:
    fresh = replace(KNOWN, ctime_ns=0)
    assert not is_unchanged(fresh, FOUND._replace(ctime_ns=0))


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


@given(st.lists(small, max_size=8), st.lists(small, max_size=8))
def test_every_path_is_uploaded_kept_or_deleted_and_never_two_of_them(
    before: list[Entry], now: list[Entry]
) -> None:
    previous = {entry.place: entry for entry in before}
    found = {
        entry.place: Found(
            entry.root, entry.path, "file", entry.mode, entry.mtime_ns, entry.ctime_ns, entry.size
        )
        for entry in now
    }
    plan = make_plan(list(previous.values()), Scan(tuple(found.values())))

    upload = {item.place for item in plan.upload}
    keep = {item.place for item in plan.keep}
    delete = {item.place for item in plan.delete}
    assert upload | keep == set(found)
    assert not upload & keep
    assert delete == set(previous) - set(found)
