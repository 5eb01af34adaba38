"""What differs between two points, from their lists."""

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.files.manifest import Entry, Manifest
from hakoiri.host.files.point_diff import difference

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def file(path: bytes, content: bytes = b"", *, mode: int = 0o644, mtime_ns: int = 0) -> Entry:
    digest = sha256(content).hexdigest()
    return Entry("workspace", path, "file", mode, mtime_ns, len(content), digest)


def manifest(*entries: Entry, session_id: str | None = "5e") -> Manifest:
    ordered = tuple(sorted(entries, key=lambda entry: entry.place))
    return Manifest("w-a", None, 1, 0, session_id, NOON, ordered)


def changes(before: Manifest, after: Manifest) -> dict[bytes, str]:
    told = difference(before, after, limit=1000)
    return {change.path: change.change for change in told.changes}


def test_each_kind_of_change_is_told() -> None:
    folder = Entry("workspace", b"d", "directory", 0o755, 0)
    link = Entry("workspace", b"l", "symlink", 0o777, 0, target=b"here")
    before = manifest(
        file(b"same", b"1"), file(b"gone"), file(b"edited", b"1"), file(b"mode"), folder, link
    )
    after = manifest(
        file(b"same", b"1", mtime_ns=9),
        file(b"new"),
        file(b"edited", b"2"),
        file(b"mode", mode=0o755),
        file(b"d"),
        replace(link, target=b"there"),
    )
    assert changes(before, after) == {
        b"gone": "removed",
        b"new": "added",
        b"edited": "content",
        b"mode": "mode",
        b"d": "kind",
        b"l": "content",
    }
    told = difference(before, after, limit=1000)
    assert (told.added, told.removed, told.changed) == (1, 1, 4)
    [gone] = [change for change in told.changes if change.path == b"gone"]
    assert (gone.before, gone.after) == (file(b"gone"), None)


def test_the_home_is_told_as_memory_and_not_by_path() -> None:
    remembered = Entry("home", b".claude", "directory", 0o700, 0)
    told = difference(manifest(), manifest(remembered), limit=10)
    assert (told.changes, told.is_memory_changed) == ([], True)
    assert difference(manifest(), manifest(session_id=None), limit=10).is_memory_changed
    assert not difference(manifest(), manifest(file(b"a")), limit=10).is_memory_changed


def test_pages_hold_all_changes_once_and_in_order() -> None:
    before, after = manifest(), manifest(*(file(b"%02d" % number) for number in range(25)))
    seen: list[bytes] = []
    beyond = None
    while True:
        page = difference(before, after, limit=10, beyond=beyond)
        assert (page.added, len(page.changes) <= 10) == (25, True)
        seen += [change.path for change in page.changes]
        beyond = page.next_after
        if beyond is None:
            break
    assert seen == [b"%02d" % number for number in range(25)]


entries = st.builds(
    file,
    st.binary(min_size=1, max_size=2).filter(lambda raw: b"/" not in raw and b"\0" not in raw),
    st.binary(max_size=1),
    mode=st.sampled_from([0o600, 0o644]),
)
lists = st.lists(entries, max_size=8, unique_by=lambda entry: entry.path)


@given(lists, lists)
def test_it_is_what_two_dictionaries_say(old: list[Entry], new: list[Entry]) -> None:
    before = {entry.path: (entry.sha256, entry.mode) for entry in old}
    after = {entry.path: (entry.sha256, entry.mode) for entry in new}
    told = difference(manifest(*old), manifest(*new), limit=1000)
    assert [change.path for change in told.changes] == sorted(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )
    assert told.added == len(after.keys() - before.keys())
    assert told.removed == len(before.keys() - after.keys())
    assert told.next_after is None
