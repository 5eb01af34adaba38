"""Archives into workspaces with and without a box; the tree is real."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.host.conversations import scripted
from tests.unit.host.conversations.scripted import World
from tests.unit.host.conversations.test_file_edits import sent
from tests.unit.host.files.test_archive_reader import make_tar, make_zip

from hakoiri.host.conversations import archive_import
from hakoiri.host.conversations.archive_import import ArchiveImport
from hakoiri.host.files.archive_limits import ArchiveRefusedError, ImportLimits
from hakoiri.host.files.paths import PathError
from hakoiri.host.files.ports import EditRefusedError, NoSpaceError
from hakoiri.host.files.quota import DiskUse
from hakoiri.host.files.stored_bytes import StoredBytes

pytestmark = pytest.mark.anyio

LARGE = os.urandom(2_000_000)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("w", "h", "a"):
        (tmp_path / name).mkdir()
    directories = replace(
        scripted.DIRECTORIES,
        workspace=tmp_path / "w",
        home=tmp_path / "h",
        agent=tmp_path / "a",
        owner_uid=os.getuid(),
        owner_gid=os.getgid(),
    )
    monkeypatch.setattr(scripted, "DIRECTORIES", directories)
    return tmp_path / "w"


def importer(world: World, tmp_path: Path) -> ArchiveImport:
    return ArchiveImport(
        edits=world.workspaces.edits,
        files=world.files,
        limits=ImportLimits(members=50, file_bytes=3_000_000, total_bytes=5_000_000, depth=6),
        directory=tmp_path,
    )


async def test_without_a_box_all_is_one_recovery_point(tree: Path, tmp_path: Path) -> None:
    world = World()
    async with world.workspaces.saver:
        workspace = await world.workspace()
        archive = make_tar({"d": None, "d/f": b"hello", "large": LARGE, "empty": b""})
        with sent(archive) as upload:
            done = await importer(world, tmp_path).run(workspace, b"into", upload)
    assert (done.recovery_point, done.files, done.file_bytes) == ("rp-amended", 3, 2_000_005)
    entries = {entry.path: entry for entry in world.files.entries}
    assert set(entries) == {b"into", b"into/d", b"into/d/f", b"into/large", b"into/empty"}
    stored = StoredBytes(store=world.files.objects, tenant=workspace.tenant)
    for path, content in ((b"into/large", LARGE), (b"into/d/f", b"hello"), (b"into/empty", b"")):
        found = b"".join([chunk async for chunk in stored.stream(entries[path])])
        assert found == content
    assert entries[b"into/d/f"].mode == 0o755


async def test_a_live_workspace_gets_the_files_in_its_box(tree: Path, tmp_path: Path) -> None:
    world = World()
    async with world.workspaces.saver:
        workspace = await world.workspace()
        world.containers.held[workspace.id] = set()
        (tree / "f").write_bytes(b"old")
        archive = make_zip({"f": b"new", "d": None, "e/large": LARGE})
        with sent(archive) as upload:
            await importer(world, tmp_path).run(workspace, b"", upload)
    assert (tree / "f").read_bytes() == b"new"
    assert (tree / "e" / "large").read_bytes() == LARGE
    assert (tree / "d").is_dir()


async def test_a_refused_archive_changes_nothing(tree: Path, tmp_path: Path) -> None:
    world = World()
    async with world.workspaces.saver:
        workspace = await world.workspace()
        world.containers.held[workspace.id] = set()
        with (
            sent(make_zip({"good": b"x", "../evil": b"x"})) as upload,
            pytest.raises(ArchiveRefusedError),
        ):
            await importer(world, tmp_path).run(workspace, b"", upload)
        with sent(make_zip({"good": b"x"})) as upload, pytest.raises(PathError):
            await importer(world, tmp_path).run(workspace, b"../up", upload)
    assert os.listdir(tree) == []  # noqa: PTH208 - blocks for a moment, in a test
    assert world.files.entries == ()


async def test_a_link_of_the_box_is_not_followed(tree: Path, tmp_path: Path) -> None:
    world = World()
    outside = tmp_path / "outside"
    outside.mkdir()
    (tree / "link").symlink_to(outside)
    async with world.workspaces.saver:
        workspace = await world.workspace()
        world.containers.held[workspace.id] = set()
        archive = make_zip({"a": b"1", "link/evil": b"2"})
        with (
            sent(archive) as upload,
            pytest.raises(EditRefusedError, match="1 of 2 files were written before"),
        ):
            await importer(world, tmp_path).run(workspace, b"", upload)
    assert list(outside.iterdir()) == []


async def test_a_disk_without_room_is_told_before_anything_is_written(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    for used in (
        DiskUse(used_bytes=9_000, quota_bytes=10_000, used_inodes=0, quota_inodes=99),
        DiskUse(used_bytes=0, quota_bytes=1 << 30, used_inodes=98, quota_inodes=99),
    ):
        monkeypatch.setattr(archive_import, "DiskUse", Asked(used))
        async with world.workspaces.saver:
            workspace = await world.workspace()
            world.containers.held[workspace.id] = set()
            with (
                sent(make_zip({"a": b"1", "b": b"2"})) as upload,
                pytest.raises(NoSpaceError, match="nothing was written"),
            ):
                await importer(world, tmp_path).run(workspace, b"", upload)
    assert os.listdir(tree) == []  # noqa: PTH208 - blocks for a moment, in a test


class Asked:
    def __init__(self, use: DiskUse) -> None:
        self._use = use

    def of(self, directory: Path) -> DiskUse:
        assert directory.is_dir()
        return self._use


async def test_in_a_list_too_nothing_takes_a_folders_place(tree: Path, tmp_path: Path) -> None:
    world = World()
    async with world.workspaces.saver:
        workspace = await world.workspace()
        run = importer(world, tmp_path).run
        with sent(make_zip({"a/b": b"1"})) as upload:
            await run(workspace, b"", upload)
        for tree_, told in (({"a": b"x"}, "is a directory"), ({"a/b/c": b"x"}, "is a file")):
            with (
                sent(make_zip(dict(tree_))) as upload,
                pytest.raises(EditRefusedError, match=told),
            ):
                await run(workspace, b"", upload)
    assert [entry.path for entry in world.files.entries] == [b"a", b"a/b"]
