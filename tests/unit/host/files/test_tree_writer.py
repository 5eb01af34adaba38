import errno
import os
import secrets
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.ports import FilesError, LiveTree, QuotaError
from hakoiri.host.files.tree_writer import TreeWriter

SHA = "ab" * 32
FILE = Entry("workspace", b"f", "file", 0o640, 1_000_000_001, size=3, sha256=SHA)
FOLDER = Entry("workspace", b"d", "directory", 0o755, 2_000_000_002)

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


def test_a_file_gets_its_bytes_mode_and_time(tree: LiveTree) -> None:
    TreeWriter(tree).write_files([(FILE, b"abc")])
    status = (tree.workspace / "f").stat()
    assert (tree.workspace / "f").read_bytes() == b"abc"
    assert stat.S_IMODE(status.st_mode) == 0o640
    assert status.st_mtime_ns == FILE.mtime_ns
    assert os.listdir(tree.workspace) == ["f"]  # noqa: PTH208 - nothing else was left


INSIDE = replace(FILE, path=b"d/f")


def test_a_closed_directory_gets_its_files_with_few_calls_and_under_their_own_names(
    tree: LiveTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = TreeWriter(tree)
    writer.make_directories([FOLDER])
    monkeypatch.setattr(os, "rename", None)  # not called
    writer.write_files([(INSIDE, b"abc")])
    status = (tree.workspace / "d" / "f").stat()
    assert (tree.workspace / "d" / "f").read_bytes() == b"abc"
    assert stat.S_IMODE(status.st_mode) == 0o640
    assert status.st_mtime_ns == FILE.mtime_ns


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_modes_do_not_depend_on_the_umask(tree: LiveTree, umask: int) -> None:
    modes = {b"d/a": 0o777, b"d/b": 0o600, b"c": 0o666, b"d/e": 0o6755, b"d/none": 0}
    before = os.umask(umask)
    try:
        writer = TreeWriter(tree)
        writer.make_directories([FOLDER])
        writer.write_files(
            [(replace(FILE, path=path, mode=mode), b"abc") for path, mode in modes.items()]
        )
    finally:
        os.umask(before)
    assert {
        path: stat.S_IMODE((tree.workspace / os.fsdecode(path)).stat().st_mode) for path in modes
    } == {path: mode & 0o777 for path, mode in modes.items()}


@pytest.mark.parametrize("plant", ["symlink", "file"])
def test_what_lies_in_the_way_in_a_closed_directory_is_not_written_to(
    tree: LiveTree, tmp_path: Path, plant: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"host's")
    writer = TreeWriter(tree)
    writer.make_directories([FOLDER])
    if plant == "symlink":
        (tree.workspace / "d" / "f").symlink_to(victim)
    else:
        (tree.workspace / "d" / "f").hardlink_to(victim)
    with pytest.raises(FilesError, match="workspace/d/f: cannot be written: File exists"):
        writer.write_files([(INSIDE, b"abc")])
    assert victim.read_bytes() == b"host's"


def test_a_directory_that_others_can_enter_sees_a_file_only_when_it_is_whole(
    tree: LiveTree,
) -> None:
    (tree.workspace / "d").mkdir(mode=0o777)  # another one, in the place of ours
    (tree.workspace / "d").chmod(0o777)
    writer = TreeWriter(tree)
    file = writer.open_file(INSIDE)
    file.write(b"abc")
    assert not (tree.workspace / "d" / "f").exists()
    [hidden] = (tree.workspace / "d").iterdir()
    assert stat.S_IMODE(hidden.stat().st_mode) == 0o600
    writer.commit_file(file)
    file.close()
    assert (tree.workspace / "d" / "f").read_bytes() == b"abc"


def test_set_id_bits_are_dropped_even_from_a_manifest_that_has_them(tree: LiveTree) -> None:
    TreeWriter(tree).write_files([(replace(FILE, mode=0o6755), b"abc")])
    assert stat.S_IMODE((tree.workspace / "f").stat().st_mode) == 0o755


@as_root
def test_everything_belongs_to_the_owner(tree: LiveTree) -> None:
    writer = TreeWriter(replace(tree, owner_uid=4242, owner_gid=4243))
    link = Entry("workspace", b"d/l", "symlink", 0o777, 3, target=b"/etc/shadow")
    writer.make_directories([FOLDER])
    writer.write_files([(FILE, b"abc")])
    writer.make_symlinks([link])
    writer.finish_directories([FOLDER])
    for name in ("d", "f", "d/l"):
        status = (tree.workspace / name).lstat()
        assert (status.st_uid, status.st_gid) == (4242, 4243)
    shadow = Path("/etc/shadow").stat()
    assert shadow.st_uid == 0


def test_directories_are_closed_until_they_are_finished(tree: LiveTree) -> None:
    writer = TreeWriter(tree)
    writer.make_directories([FOLDER])
    assert stat.S_IMODE((tree.workspace / "d").stat().st_mode) == 0o700
    (tree.workspace / "d" / "x").touch()
    writer.finish_directories([FOLDER])
    status = (tree.workspace / "d").stat()
    assert stat.S_IMODE(status.st_mode) == 0o755
    assert status.st_mtime_ns == FOLDER.mtime_ns


def test_a_directory_swapped_for_a_symlink_leads_nowhere(tree: LiveTree, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o711)
    before = outside.stat()
    writer = TreeWriter(tree)
    writer.make_directories([FOLDER])
    (tree.workspace / "d").rmdir()
    (tree.workspace / "d").symlink_to(outside)

    inside = replace(FILE, path=b"d/f")
    with pytest.raises(FilesError, match="workspace/d/f: cannot be written"):
        writer.write_files([(inside, b"abc")])
    with pytest.raises(FilesError, match="workspace/d/f: cannot be written"):
        writer.open_file(inside)
    with pytest.raises(FilesError, match="workspace/d/l"):
        writer.make_symlinks([Entry("workspace", b"d/l", "symlink", 0o777, 3, target=b"x")])
    with pytest.raises(FilesError, match="workspace/d/e"):
        writer.make_directories([replace(FOLDER, path=b"d/e")])
    with pytest.raises(FilesError, match="workspace/d"):
        writer.finish_directories([FOLDER])
    assert list(outside.iterdir()) == []
    assert outside.stat() == before


def test_a_symlink_in_the_place_of_a_file_is_replaced_not_followed(
    tree: LiveTree, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"host's")
    (tree.workspace / "f").symlink_to(victim)
    TreeWriter(tree).write_files([(FILE, b"abc")])
    assert victim.read_bytes() == b"host's"
    assert not (tree.workspace / "f").is_symlink()


@pytest.mark.parametrize("plant", ["symlink", "file"])
def test_a_staging_name_that_was_foreseen_is_not_written_to(
    tree: LiveTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"host's")
    monkeypatch.setattr(secrets, "token_hex", lambda count: "foreseen")
    if plant == "symlink":
        (tree.workspace / ".hakoiri-foreseen").symlink_to(victim)
    else:
        (tree.workspace / ".hakoiri-foreseen").hardlink_to(victim)
    with pytest.raises(FilesError, match="File exists"):
        TreeWriter(tree).write_files([(FILE, b"abc")])
    assert victim.read_bytes() == b"host's"


def test_a_file_in_pieces_has_its_name_only_when_it_is_whole(tree: LiveTree) -> None:
    writer = TreeWriter(tree)
    file = writer.open_file(FILE)
    file.write(b"ab")
    file.write(b"c")
    assert not (tree.workspace / "f").exists()
    writer.commit_file(file)
    file.close()
    assert (tree.workspace / "f").read_bytes() == b"abc"


def test_a_full_disk_is_told_with_the_path_and_the_mend(
    tree: LiveTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(descriptor: int, content: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(
        QuotaError, match=r"workspace/f: cannot be written: No space.*container\.workspace_mib"
    ):
        TreeWriter(tree).write_files([(FILE, b"abc")])


def test_only_an_empty_tree_is_restored_into(tree: LiveTree) -> None:
    writer = TreeWriter(tree)
    (tree.home / ".bashrc").touch()
    writer.check_empty()
    (tree.home / ".claude").symlink_to("/nowhere")
    with pytest.raises(FilesError, match="already holds an agent's memory"):
        writer.check_empty()
    (tree.workspace / "x").touch()
    with pytest.raises(FilesError, match="not empty"):
        writer.check_empty()
