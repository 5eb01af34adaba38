import os
import socket
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest
from tests.unit.host.files.trees import File, Folder, Link, build

from hakoiri.host.files import scan as scan_module
from hakoiri.host.files.plan import Scan
from hakoiri.host.files.ports import FilesError, LiveTree
from hakoiri.host.files.scan import AGENT_MEMORY, ScanLimits, is_kept, scan

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


def look(tree: LiveTree, limits: ScanLimits | None = None) -> Scan:
    return scan(tree, limits=limits or ScanLimits(), monotonic=lambda: 0.0)


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


def test_a_missing_root_is_an_error(tree: LiveTree) -> None:
    tree.workspace.rmdir()
    with pytest.raises(FilesError, match="cannot be opened"):
        look(tree)
