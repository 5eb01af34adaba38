import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.unit.host.conversations import scripted
from tests.unit.host.conversations.scripted import World

from hakoiri.host.containers.live import TURN
from hakoiri.host.containers.model import Claim
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.workspace_saver import WorkspaceSaver
from hakoiri.host.files.collection_ports import CollectedError
from hakoiri.host.files.paths import PathError
from hakoiri.host.files.ports import EditRefusedError, NoSuchFileError, StaleGenerationError

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Sent:
    descriptor: int
    size: int
    sha256: str


@contextmanager
def sent(content: bytes) -> Iterator[Sent]:
    descriptor = os.memfd_create("sent")
    os.write(descriptor, content)
    try:
        yield Sent(descriptor, len(content), hashlib.sha256(content).hexdigest())
    finally:
        os.close(descriptor)


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


async def test_without_a_box_a_change_is_a_recovery_point(tree: Path) -> None:
    world = World()
    async with world.workspaces.saver:
        workspace = await world.workspace()
        with sent(b"hello") as upload:
            assert await world.workspaces.edits.put(workspace, b"a/f", upload) == "rp-amended"
        assert [entry.path for entry in world.files.entries] == [b"a", b"a/f"]
        assert list(world.files.blobs.values()) == [b"hello"]
        put = world.files.entries[-1]
        assert [part.sha256 for part in put.parts or ()] == [put.sha256]
        assert await world.workspaces.edits.remove(workspace, b"a") == "rp-amended"
        assert world.files.entries == []
        with pytest.raises(NoSuchFileError):
            await world.workspaces.edits.remove(workspace, b"a")
    assert [event.details["change"] for event in world.audit.events] == ["put", "remove"]
    assert set(world.audit.kinds()) == {"file_changed"}
    assert os.listdir(tree) == []  # noqa: PTH208
    assert "claim" not in world.containers.log


async def test_in_a_live_box_it_is_made_there_and_saved(tree: Path) -> None:
    world = World()
    async with world.workspaces.saver:
        workspace = await world.workspace()
        world.containers.held[workspace.id] = set()
        with sent(b"hello") as upload:
            await world.workspaces.edits.put(workspace, b"a/f", upload)
        assert (tree / "a/f").read_bytes() == b"hello"
        await world.workspaces.edits.remove(workspace, b"a/f")
        assert not (tree / "a/f").exists()
        assert len(world.files.saves) == 2
        assert world.containers.holders(workspace.id) == frozenset()


async def test_under_a_turn_it_is_made_and_left_to_the_turn_to_save(tree: Path) -> None:
    world = World()
    async with world.workspaces.saver:
        workspace = await world.workspace()
        world.containers.held[workspace.id] = {TURN}
        with sent(b"hello") as upload:
            assert await world.workspaces.edits.put(workspace, b"f", upload) is None
        assert (tree / "f").read_bytes() == b"hello"
        assert world.files.saves == []
        await world.containers.release(workspace.id)


async def test_a_box_that_comes_to_life_meanwhile_gets_the_change(tree: Path) -> None:
    world = World()

    class StartingError(StaleGenerationError):
        """Raised when a container was started between looking and committing."""

        def __init__(self) -> None:
            super().__init__("generation 0 may not save any more")
            world.containers.held[workspace.id] = set()

    async with world.workspaces.saver:
        workspace = await world.workspace()

        async def amend(**_: object) -> str:
            raise StartingError

        world.workspaces.edits._files.amend = amend  # type: ignore[method-assign]
        with sent(b"hello") as upload:
            await world.workspaces.edits.put(workspace, b"f", upload)
    assert (tree / "f").read_bytes() == b"hello"


@pytest.mark.parametrize("holders", [(), (TURN,)])
async def test_what_another_server_took_over_meanwhile_is_changed_there(
    tree: Path, holders: tuple[str, ...]
) -> None:
    world = World()
    async with world.workspaces.saver:
        workspace = await world.workspace()
        world.containers.held[workspace.id] = {*holders}

        class TakingOver(WorkspaceSaver):
            """This server stands still once the file is written, and wakes up too late."""

            async def touch(self, workspace: Workspace, claim: Claim) -> None:
                now = world.store.workspaces[workspace.id]
                newer = world.containers.generation + 1
                world.store.workspaces[workspace.id] = replace(now, generation=newer)
                del world.containers.held[workspace.id]

        world.workspaces.edits._saver.__class__ = TakingOver
        with sent(b"hello") as upload:
            assert await world.workspaces.edits.put(workspace, b"f", upload) == "rp-amended"
    assert [entry.path for entry in world.files.entries] == [b"f"]
    assert list(world.files.blobs.values()) == [b"hello"]


async def test_a_box_that_comes_and_goes_for_ever_is_told() -> None:
    world = World()
    world.files.amend_failures = [StaleGenerationError("old") for _ in range(99)]
    async with world.workspaces.saver:
        workspace = await world.workspace()
        with sent(b"x") as upload, pytest.raises(EditRefusedError, match="comes and goes"):
            await world.workspaces.edits.put(workspace, b"f", upload)


async def test_bytes_that_left_the_store_meanwhile_are_stored_again() -> None:
    world = World()
    world.files.amend_failures = [CollectedError(["tenants/t/packs/aa/1"])]
    async with world.workspaces.saver:
        workspace = await world.workspace()
        with sent(b"x") as upload:
            await world.workspaces.edits.put(workspace, b"f", upload)
    assert [entry.path for entry in world.files.entries] == [b"f"]


NO_PATHS = [b"", b"..", b"a/../b", b"/etc", b"a//b", b"a/", b"a\0", b"x" * 256, b"a/" * 2048]


@pytest.mark.parametrize("path", NO_PATHS)
async def test_what_is_no_path_in_a_workspace_is_refused(path: bytes, tree: Path) -> None:
    world = World()
    async with world.workspaces.saver:
        workspace = await world.workspace()
        for held in (False, True):
            if held:
                world.containers.held[workspace.id] = set()
            with sent(b"x") as upload, pytest.raises(PathError):
                await world.workspaces.edits.put(workspace, path, upload)
            with pytest.raises(PathError):
                await world.workspaces.edits.remove(workspace, path)
    assert os.listdir(tree) == []  # noqa: PTH208
