import os
import socket
import stat
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.host.files.trees import File, Folder, Link, Node, build, children, make_live_tree

from hakoiri.host.files import scan as scan_module
from hakoiri.host.files.descent import Descent
from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.plan import Found, Scan, entry_of, found_of
from hakoiri.host.files.ports import FilesError, LiveTree
from hakoiri.host.files.scan import AGENT_MEMORY, ScanLimits, is_kept, scan

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


def look(tree: LiveTree, limits: ScanLimits | None = None, *, known: Sequence[Entry] = ()) -> Scan:
    return scan(tree, limits=limits or ScanLimits(), monotonic=lambda: 0.0, known=known)


def saved(tree: LiveTree) -> list[Entry]:
    """What a recovery point would say of the tree as it is."""
    return [saved_as(found) for found in look(tree).found]


def saved_as(found: Found) -> Entry:
    if found.kind != "file":
        return entry_of(found)
    return Entry(
        found.root,
        found.path,
        found.kind,
        found.mode,
        found.mtime_ns,
        found.size,
        sha256="ab" * 32,
        ctime_ns=found.ctime_ns,
        parts=(),
    )


def paths(seen: Scan) -> set[bytes]:
    return {found.path for found in seen.found}


def reasons(seen: Scan) -> dict[bytes, str]:
    return {left.path: left.reason for left in seen.left_out}


def test_files_directories_and_symlinks_are_seen_as_they_are(tree: LiveTree) -> None:
    build(tree.workspace, {b"d": Folder({b"f": File(b"abc", 0o640)}), b"l": Link(b"/etc/shadow")})

    seen = {found.path: found for found in look(tree).found}

    assert set(seen) == {b"d", b"d/f", b"l"}
    assert (seen[b"d/f"].kind, seen[b"d/f"].size, seen[b"d/f"].mode) == ("file", 3, 0o640)
    assert (seen[b"l"].kind, seen[b"l"].target) == ("symlink", b"/etc/shadow")
    assert seen[b"d"].kind == "directory"


def test_a_symlinked_directory_is_not_entered(tree: LiveTree, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"s")
    (tree.workspace / "d").symlink_to(outside)

    assert paths(look(tree)) == {b"d"}


def test_names_with_newlines_and_invalid_utf8_are_seen(tree: LiveTree) -> None:
    build(tree.workspace, {b"a\nb": File(b""), b"\xff\xfe": File(b""), b"..x": File(b"")})
    assert paths(look(tree)) == {b"a\nb", b"\xff\xfe", b"..x"}


def test_fifos_and_sockets_are_left_out_with_a_reason(tree: LiveTree) -> None:
    os.mkfifo(tree.workspace / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        descriptor = os.open(tree.workspace, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{descriptor}/s")
        os.close(descriptor)
        seen = look(tree)
    assert reasons(seen) == {b"fifo": "a FIFO", b"s": "a socket"}
    assert seen.found == ()


@as_root
def test_device_nodes_are_left_out(tree: LiveTree) -> None:
    os.mknod(tree.workspace / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(tree.workspace / "disk", stat.S_IFBLK | 0o666, os.makedev(7, 200))
    assert reasons(look(tree)) == {b"null": "a device", b"disk": "a device"}


@as_root
def test_a_hard_link_to_a_file_of_another_owner_is_left_out(tree: LiveTree, tmp_path: Path) -> None:
    shadow = tmp_path / "shadow"
    shadow.write_bytes(b"root's")
    os.link(shadow, tree.workspace / "mine")
    own = tree.workspace / "own"
    own.write_bytes(b"x")
    os.chown(own, 4242, 4242)
    os.link(own, tree.workspace / "own-too")

    seen = look(replace(tree, owner_uid=4242))

    assert reasons(seen) == {b"mine": "a hard link to a file of another owner"}
    assert paths(seen) == {b"own", b"own-too"}


def test_set_id_bits_are_not_seen(tree: LiveTree) -> None:
    build(tree.workspace, {b"f": File(b"", 0o6755)})
    assert look(tree).found[0].mode == 0o755


def test_a_sparse_terabyte_is_left_out_without_reading(tree: LiveTree) -> None:
    with (tree.workspace / "sparse").open("wb") as file:
        file.truncate(1024**4)
    assert "larger than the limit" in reasons(look(tree))[b"sparse"]


def test_bytes_over_the_workspace_limit_are_left_out(tree: LiveTree) -> None:
    build(tree.workspace, {b"a": File(b"x" * 6), b"b": File(b"x" * 6)})
    seen = look(tree, ScanLimits(limit_bytes=10))
    assert len(seen.found) == 1
    assert "over the workspace's limit of 10 bytes" in seen.left_out[0].reason


def test_entries_up_to_the_limit_pass_and_one_more_is_told(tree: LiveTree) -> None:
    build(tree.workspace, {b"a": File(b""), b"d": Folder({})})
    assert look(tree, ScanLimits(limit_entries=2)).left_out_total == 0
    (tree.workspace / "c").touch()
    seen = look(tree, ScanLimits(limit_entries=2))
    assert len(seen.found) == 2
    assert "over the limit of 2 entries" in seen.left_out[0].reason


def test_a_million_entries_end_at_the_limit(
    tree: LiveTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree.workspace / "f").touch()
    asked = 0
    real = os.scandir

    class Endless:
        """A directory that never ends to list, with an entry of a real file over and over."""

        def __init__(self, descriptor: int) -> None:
            with real(descriptor) as names:
                self.entry = next(names, None)

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *exception: object) -> None:
            pass

        def __iter__(self) -> Self:
            return self

        def __next__(self) -> "os.DirEntry[str]":
            nonlocal asked
            asked += 1
            if self.entry is None:
                raise StopIteration
            return self.entry

    monkeypatch.setattr(os, "scandir", Endless)
    seen = look(tree, ScanLimits(limit_entries=1000))
    assert len(seen.found) == 1000
    assert asked < 1010


def test_depth_is_bounded(tree: LiveTree) -> None:
    (tree.workspace / "a" / "b" / "c").mkdir(parents=True)
    seen = look(tree, ScanLimits(depth_limit=2))
    assert paths(seen) == {b"a", b"a/b"}
    assert reasons(seen) == {b"a/b/c": "deeper than 2 levels"}


def test_a_tree_deeper_than_any_path_may_be_ends_in_a_report(tree: LiveTree) -> None:
    descriptor = os.open(tree.workspace, os.O_RDONLY)
    name = "d" * 250
    for _ in range(40):
        os.mkdir(name, dir_fd=descriptor)
        below = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    seen = look(tree)
    assert len(seen.found) == 16
    assert "longer than 4096 bytes" in seen.left_out[0].reason


def ticking(step_s: float) -> Callable[[], float]:
    now = 0.0

    def monotonic() -> float:
        nonlocal now
        now += step_s
        return now

    return monotonic


def test_what_the_time_does_not_suffice_for_is_told_and_marked_unread(tree: LiveTree) -> None:
    build(tree.workspace, {b"d": Folder({b"e": Folder({b"f": File(b"")})})})
    seen = scan(tree, limits=ScanLimits(timeout_s=2), monotonic=ticking(1))
    assert seen.unread == {("workspace", b"d")}
    assert "not reached within 2 s" in reasons(seen)[b"d"]


def test_an_endless_directory_ends_with_the_time(tree: LiveTree) -> None:
    for number in range(1200):
        os.mkfifo(tree.workspace / str(number))
    seen = scan(tree, limits=ScanLimits(timeout_s=3, left_out_limit=5), monotonic=ticking(1))
    assert seen.unread == {("workspace", b"")}
    assert seen.left_out_total < 1200


def test_the_report_is_bounded_and_the_count_is_not(tree: LiveTree) -> None:
    for number in range(10):
        os.mkfifo(tree.workspace / str(number))
    seen = look(tree, ScanLimits(left_out_limit=3))
    assert (len(seen.left_out), seen.left_out_total) == (3, 10)


def test_a_clone_that_is_not_whole_is_not_seen(tree: LiveTree) -> None:
    half: dict[bytes, File | Link | Folder] = {b"tree": Folder({b"pack": File(b"half")})}
    build(
        tree.workspace,
        {b".hakoiri-import": Folder(half), b"d": Folder({b".hakoiri-import": Folder(half)})},
    )
    seen = look(tree)
    assert {path for path in paths(seen) if path.startswith(b".")} == set()
    assert b"d/.hakoiri-import/tree/pack" in paths(seen), "only at the top it is ours"
    assert seen.left_out == ()


def test_of_a_home_only_the_agents_memory_is_seen(tree: LiveTree) -> None:
    build(
        tree.home,
        {
            b".bashrc": File(b""),
            b".claude.json": File(b""),
            b".cache": Folder({b"x": File(b"")}),
            b".claude": Folder(
                {
                    b".credentials.json": File(b"secret"),
                    b"CLAUDE.md": File(b""),
                    b"backups": Folder({b"b": File(b"")}),
                    b"shell-snapshots": Folder({b"s": File(b"")}),
                    b"statsig": Folder({}),
                    b"projects": Folder(
                        {b"-w": Folder({b"s.jsonl": File(b"{}")}), b".credentials.json": File(b"")}
                    ),
                }
            ),
        },
    )
    seen = look(tree)
    assert paths(seen) == {
        b".claude",
        b".claude/CLAUDE.md",
        b".claude/projects",
        b".claude/projects/-w",
        b".claude/projects/-w/s.jsonl",
    }
    assert seen.left_out_total == 0


def test_credentials_are_kept_from_no_place_in_a_home() -> None:
    assert b".credentials.json" not in AGENT_MEMORY
    assert not is_kept("home", b".claude/projects/x", b".credentials.json")
    assert is_kept("workspace", b"", b".credentials.json")


def test_a_memory_that_is_a_symlink_is_left_out(tree: LiveTree, tmp_path: Path) -> None:
    (tree.home / ".claude").symlink_to(tmp_path)
    seen = look(tree)
    assert seen.found == ()
    assert reasons(seen) == {b".claude": "not a directory"}


def test_the_agents_memory_comes_before_a_full_workspace(tree: LiveTree) -> None:
    build(tree.home, {b".claude": Folder({b"CLAUDE.md": File(b"")})})
    build(tree.workspace, {str(n).encode(): File(b"") for n in range(5)})
    seen = look(tree, ScanLimits(limit_entries=4))
    assert {b".claude", b".claude/CLAUDE.md"} < paths(seen)


def test_a_directory_swapped_for_a_symlink_during_the_scan_is_not_followed(
    tree: LiveTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"s")
    victim = tree.workspace / "d"
    victim.mkdir()
    real = scan_module._look_at

    def swap_after_looking(*arguments: object) -> object:
        found = real(*arguments)  # type: ignore[arg-type]  # passed through
        if found is not None and found.path == b"d":
            victim.rename(tmp_path / "away")
            victim.symlink_to(outside)
        return found

    monkeypatch.setattr(scan_module, "_look_at", swap_after_looking)
    seen = look(tree)
    assert paths(seen) == {b"d"}
    assert reasons(seen) == {b"d": "swapped for something else during the scan"}


def test_a_directory_that_vanishes_during_the_scan_is_no_news(
    tree: LiveTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree.workspace / "d").mkdir()
    real = scan_module._look_at

    def remove_after_looking(*arguments: object) -> object:
        found = real(*arguments)  # type: ignore[arg-type]  # passed through
        (tree.workspace / "d").rmdir()
        return found

    monkeypatch.setattr(scan_module, "_look_at", remove_after_looking)
    assert look(tree).left_out_total == 0


@as_root
def test_a_mount_in_the_tree_is_not_crossed(tree: LiveTree) -> None:
    root_tree = LiveTree(Path("/"), tree.home, tree.owner_uid, tree.owner_gid)
    seen = scan(
        root_tree,
        limits=ScanLimits(depth_limit=1, left_out_limit=10_000),
        monotonic=lambda: 0.0,
    )
    assert reasons(seen)[b"proc"] == "on another file system"
    assert b"proc" not in paths(seen)


def test_what_is_as_it_was_is_told_by_the_very_entry(tree: LiveTree) -> None:
    build(tree.workspace, {b"d": Folder({b"f": File(b"abc")}), b"l": Link(b"x"), b"g": File(b"")})
    build(tree.home, {b".claude": Folder({b"CLAUDE.md": File(b"12")})})
    known = saved(tree)
    seen = look(tree, known=known)
    assert seen.found == ()
    assert sorted(map(id, seen.same)) == sorted(map(id, known))
    assert seen.total_bytes == 5


def test_whatever_changed_is_found_and_the_rest_is_the_same(tree: LiveTree) -> None:
    build(
        tree.workspace,
        {
            b"same": File(b"abc"),
            b"written": File(b"abc"),
            b"chmod": File(b"abc"),
            b"target": Link(b"x"),
            b"file": File(b""),
            b"link": Link(b"x"),
            b"folder": Folder({}, 0o755),
        },
    )
    known = saved(tree)
    for name in (b"target", b"link"):
        (tree.workspace / name.decode()).unlink()
    (tree.workspace / "target").symlink_to("y")
    (tree.workspace / "link").touch()
    (tree.workspace / "file").unlink()
    (tree.workspace / "file").mkdir()
    (tree.workspace / "folder").chmod(0o700)
    (tree.workspace / "chmod").chmod(0o600)
    status = (tree.workspace / "written").stat()
    (tree.workspace / "written").write_bytes(b"xyz")
    os.utime(tree.workspace / "written", ns=(status.st_atime_ns, status.st_mtime_ns))
    seen = look(tree, known=known)
    assert [entry.path for entry in seen.same] == [b"same"]
    assert len(paths(seen)) == 6


def test_a_file_that_took_anothers_place_is_found(tree: LiveTree) -> None:
    """With the size, mode and mtime of the one before: a rename brings a ctime of its own."""
    build(tree.workspace, {b"f": File(b"abc")})
    known = saved(tree)
    build(tree.workspace, {b"g": File(b"xyz")})
    (tree.workspace / "g").rename(tree.workspace / "f")
    assert paths(look(tree, known=known)) == {b"f"}


def test_a_name_that_is_listed_twice_is_the_same_only_once(
    tree: LiveTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two of one could stand for one that is gone."""
    build(tree.workspace, {b"f": File(b"abc"), b"gone": File(b"abc")})
    known = saved(tree)
    (tree.workspace / "gone").unlink()
    real = os.scandir

    class Twice:
        def __init__(self, descriptor: int) -> None:
            with real(descriptor) as names:
                self.entries = [entry for entry in names for _ in range(2)]

        def __enter__(self) -> "list[os.DirEntry[str]]":
            return self.entries

        def __exit__(self, *exception: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Twice)
    assert [entry.path for entry in look(tree, known=known).same] == [b"f"]


def test_limits_hold_for_what_was_saved_before(tree: LiveTree) -> None:
    build(tree.workspace, {b"a": File(b"123456"), b"b": File(b"123456"), b"d": Folder({})})
    build(tree.workspace / "d", {b"f": File(b"")})
    known = saved(tree)
    assert (
        "limit of 10 bytes"
        in look(tree, ScanLimits(limit_bytes=10), known=known).left_out[0].reason
    )
    seen = look(tree, ScanLimits(file_limit_bytes=5), known=known)
    assert set(reasons(seen)) == {b"a", b"b"}
    seen = look(tree, ScanLimits(depth_limit=1), known=known)
    assert reasons(seen) == {b"d/f": "deeper than 1 levels"}
    seen = look(tree, ScanLimits(limit_entries=2), known=known)
    assert len(seen.same) == 2
    assert "over the limit of 2 entries" in seen.left_out[0].reason


@as_root
def test_a_hard_link_that_was_saved_is_left_out_of_another_owners_tree(tree: LiveTree) -> None:
    build(tree.workspace, {b"f": File(b"abc")})
    os.link(tree.workspace / "f", tree.workspace / "g")
    known = saved(tree)
    assert len(look(tree, known=known).same) == 2
    seen = look(replace(tree, owner_uid=4242), known=known)
    assert set(reasons(seen)) == {b"f", b"g"}
    assert seen.same == ()


@as_root
def test_a_mount_that_hides_what_was_saved_is_left_out(tree: LiveTree) -> None:
    root_tree = LiveTree(Path("/"), tree.home, tree.owner_uid, tree.owner_gid)
    status = Path("/proc").lstat()
    known = Entry("workspace", b"proc", "directory", status.st_mode & 0o777, status.st_mtime_ns)
    limits = ScanLimits(depth_limit=1, left_out_limit=10_000)
    seen = look(root_tree, limits, known=[known])
    assert reasons(seen)[b"proc"] == "on another file system"
    assert known not in seen.same


def test_a_saved_file_that_lies_on_another_file_system_now_is_left_out(
    tree: LiveTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tree.workspace, {b"f": File(b"abc")})
    known = saved(tree)

    class Elsewhere(Descent):
        def __init__(self, root: Path) -> None:
            super().__init__(root)
            self.device = -1

    monkeypatch.setattr(scan_module, "Descent", Elsewhere)
    seen = look(tree, known=known)
    assert reasons(seen) == {b"f": "on another file system"}
    assert seen.same == ()


def test_of_a_home_no_file_is_the_memory_though_it_was_saved(tree: LiveTree) -> None:
    build(tree.home, {b".claude": File(b"x")})
    status = (tree.home / ".claude").stat()
    times = (status.st_mtime_ns, status.st_ctime_ns)
    known = saved_as(Found("home", b".claude", "file", status.st_mode & 0o777, *times, 1))
    assert reasons(look(tree, known=[known])) == {b".claude": "not a directory"}


@given(children, st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_only_what_says_the_same_in_every_field_is_the_same(
    workspace: dict[bytes, Node], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as base:
        tree = make_live_tree(Path(base))
        build(tree.workspace, workspace)
        whole = look(tree)
        known = [
            data.draw(st.just(saved_as(found)) | other(saved_as(found))) for found in whole.found
        ]
        seen = look(tree, known=known)
    truth = {found.place: found for found in whole.found}
    for entry in seen.same:
        found = truth[entry.place]
        if entry.kind == "file":
            assert found_of(entry) == found
            assert entry.ctime_ns != 0
        else:
            assert entry == entry_of(found)
    others = {entry.place for entry in seen.same} ^ set(truth)
    assert {found.place for found in seen.found} == others
    assert set(seen.found) <= set(whole.found)
    assert {entry.place for entry in known if saved_as(truth[entry.place]) == entry} == {
        entry.place for entry in seen.same
    }
    assert seen.total_bytes == whole.total_bytes


def other(entry: Entry) -> st.SearchStrategy[Entry]:
    """The entry with one field that is not what stat(2) tells."""
    changes = [
        replace(entry, mode=entry.mode ^ 0o010),
        replace(entry, mtime_ns=entry.mtime_ns + 1),
        replace(entry, target=entry.target + b"x"),
    ]
    if entry.kind == "file":
        changes = [
            *changes[:2],
            replace(entry, size=entry.size + 1),
            replace(entry, ctime_ns=entry.ctime_ns - 1),
            replace(entry, ctime_ns=0),
        ]
    return st.sampled_from(changes)


def test_a_missing_root_is_an_error(tree: LiveTree) -> None:
    tree.workspace.rmdir()
    with pytest.raises(FilesError, match="cannot be opened"):
        look(tree)
