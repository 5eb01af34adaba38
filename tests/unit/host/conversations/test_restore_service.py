"""Putting a workspace back, against containers and files that follow a script."""

from dataclasses import replace

import pytest
from tests.unit.host.conversations.scripted import Report, World

from hakoiri.audit.event import EventKind
from hakoiri.host.containers.ports import WorkspaceInUseError
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.point_ports import HeadMovedError, PointInUseError
from hakoiri.host.conversations.ports import StoreError, TurnRunningError
from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.points import PointReason
from hakoiri.host.files.ports import FilesError, NoSuchPointError

pytestmark = pytest.mark.anyio

OLD = Entry("workspace", b"old", "file", 0o644, 0, 0, "0" * 64, parts=())
NEW = replace(OLD, path=b"new")


async def a_live_one(world: World) -> tuple[Workspace, str, str]:
    """A workspace with a live, idle container whose files are those of the second point."""
    workspace = await world.workspace()
    first = await world.recovery_point(workspace, OLD)
    second = await world.recovery_point(workspace, NEW)
    world.containers.held[workspace.id] = set()
    world.containers.generation = 1
    world.store.workspaces[workspace.id] = replace(
        world.store.workspaces[workspace.id], generation=1
    )
    world.files.report = Report(recovery_point=second)
    return workspace, first, second


async def test_what_was_there_is_saved_from_a_frozen_box_before_it_is_put_back() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace, first, second = await a_live_one(world)

        async def saved() -> None:
            assert world.containers.log[-1] == "freeze"
            world.containers.log.append("save")

        world.files.when_saved = saved
        restored = await world.points.restores.restore(workspace, first)
    assert world.containers.log == ["freeze", "save", "give up"]
    assert world.files.reasons == [PointReason.BEFORE_RESTORE]
    assert (restored.undo, restored.head.parent) == (second, second)
    assert (restored.head.reason, restored.head.is_head) == (PointReason.RESTORED, True)
    [committed] = world.listed.restored
    assert (committed.source, committed.generation) == (first, 1)
    assert committed.taken.head.generation == 2, "no container from before may save any more"
    manifest = await world.manifests.read("default", workspace.id, restored.head.id)
    assert manifest.entries == (OLD,)
    assert [event.kind for event in world.audit.events] == [EventKind.FILES_RESTORED]


async def test_one_that_is_not_live_needs_no_save() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace = await world.workspace()
        first = await world.recovery_point(workspace, OLD)
        second = await world.recovery_point(workspace, NEW)
        restored = await world.points.restores.restore(workspace, first)
        assert (restored.undo, world.files.saves, world.containers.log) == (second, [], [])
        back = await world.points.restores.restore(workspace, restored.undo)
    manifest = await world.manifests.read("default", workspace.id, back.head.id)
    assert manifest.entries == (NEW,)


async def test_what_the_undo_could_not_take_is_told() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace, first, second = await a_live_one(world)
        world.files.report = Report(recovery_point=second, left_out=["workspace/pipe: a FIFO"])
        restored = await world.points.restores.restore(workspace, first)
    assert restored.left_out == ("workspace/pipe: a FIFO",)


async def test_it_is_refused_while_a_turn_runs() -> None:
    world = World()
    async with world.workspaces.saver:
        conversation = await world.conversation()
        workspace = world.store.workspaces[str(conversation.workspace_id)]
        first = await world.recovery_point(workspace, OLD)
        world.containers.held[workspace.id] = set()  # the turn has not claimed it yet
        await world.store.begin_turn(
            conversation_id=conversation.id, text="x", now=conversation.created_at
        )
        with pytest.raises(TurnRunningError):
            await world.points.restores.restore(workspace, first)
    assert (world.containers.log, world.files.saves) == ([], [])


async def test_it_is_refused_while_a_command_runs() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace, first, _ = await a_live_one(world)
        world.containers.held[workspace.id] = {"command 1"}
        with pytest.raises(WorkspaceInUseError):
            await world.points.restores.restore(workspace, first)
    assert world.files.saves == []


async def test_a_turn_that_begins_meanwhile_keeps_its_container() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace, first, second = await a_live_one(world)
        world.listed.commit_failure = TurnRunningError("a turn is running")
        with pytest.raises(TurnRunningError):
            await world.points.restores.restore(workspace, first)
        newest = await world.points.points.find(workspace, None)
    assert (world.containers.log, newest.id) == (["freeze", "thaw"], second)


async def test_without_the_undo_nothing_is_put_back() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace, first, _ = await a_live_one(world)
        world.files.save_failure = FilesError("the store is away")
        with pytest.raises(FilesError, match="away"):
            await world.points.restores.restore(workspace, first)
    assert world.containers.log == ["freeze", "thaw"]
    assert world.listed.restored == []


async def test_a_container_is_given_up_when_nobody_knows_whether_it_was_committed() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace, first, _ = await a_live_one(world)
        world.listed.commit_failure = StoreError("the database does not answer")
        with pytest.raises(StoreError):
            await world.points.restores.restore(workspace, first)
    assert world.containers.log == ["freeze", "give up"]


async def test_a_workspace_that_changed_meanwhile_is_looked_at_again() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace, first, second = await a_live_one(world)
        world.listed.commit_failure = HeadMovedError("changed")
        restored = await world.points.restores.restore(workspace, first)
    assert (restored.undo, len(world.files.saves)) == (second, 2)
    assert world.containers.log == ["freeze", "give up"]


async def test_one_that_keeps_changing_is_left_alone() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace, first, _ = await a_live_one(world)

        async def move() -> None:
            world.listed.commit_failure = HeadMovedError("changed")

        world.files.when_saved = move
        with pytest.raises(HeadMovedError, match="keeps changing"):
            await world.points.restores.restore(workspace, first)
    assert world.containers.log == ["freeze", "thaw"]


async def test_who_expects_another_newest_point_is_refused() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace, first, second = await a_live_one(world)
        with pytest.raises(HeadMovedError):
            await world.points.restores.restore(workspace, first, expected_head=first)
        assert world.containers.log == []
        await world.points.restores.restore(workspace, first, expected_head=second)


async def test_a_point_that_is_not_listed_is_none() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace, _, _ = await a_live_one(world)
        with pytest.raises(NoSuchPointError):
            await world.points.restores.restore(workspace, "rp-" + "0" * 32)
    assert world.containers.log == []


async def test_a_point_cannot_be_dropped_while_it_is_restored() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace, first, _ = await a_live_one(world)
        refused: list[str] = []

        async def drop() -> None:
            try:
                await world.points.points.drop(workspace, first)
            except PointInUseError as error:
                refused.append(str(error))

        world.files.when_saved = drop
        await world.points.restores.restore(workspace, first)
        await world.points.points.drop(workspace, first)
    assert len(refused) == 1
