import pytest
from tests.unit.host.conversations.scripted import World

from hakoiri.host.containers.live import TURN
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.ports import (
    InvalidOptionError,
    NoSuchWorkspaceError,
    TurnRunningError,
    WorkspaceOwnedError,
)
from hakoiri.host.conversations.workspace_service import FilesFate
from hakoiri.host.files.ports import FilesError

pytestmark = pytest.mark.anyio


async def live(world: World, workspace: Workspace) -> None:
    world.containers.held[workspace.id] = set()


async def test_it_is_stored_until_a_container_is_live() -> None:
    world = World()
    workspace = await world.workspace()
    look_at = world.workspaces.workspaces.look_at
    assert (look_at(workspace).state, look_at(workspace).in_use) == ("stored", False)
    await live(world, workspace)
    assert (look_at(workspace).state, look_at(workspace).in_use) == ("live", False)
    await world.containers.join(workspace.id, holder="command 1")
    assert look_at(workspace).in_use


async def test_an_unknown_policy_is_told_by_its_field() -> None:
    world = World()
    with pytest.raises(InvalidOptionError, match="policy: there is no policy 'web'"):
        await world.workspaces.workspaces.create(tenant="default", policy="web")


async def test_killing_saves_first_even_if_nothing_was_noted() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace = await world.workspace()
        await live(world, workspace)
        await world.workspaces.workspaces.kill(workspace, files=FilesFate.SAVE)
    assert len(world.files.saves) == 1
    assert world.containers.log[-1] == "retire killed"
    assert len(world.containers.gone) == 1


async def test_what_cannot_be_saved_is_not_killed_unless_it_may_be_lost() -> None:
    world = World()
    world.files.save_failure = FilesError("the store is away")
    async with world.workspaces.saver:
        workspace = await world.workspace()
        await live(world, workspace)
        with pytest.raises(FilesError):
            await world.workspaces.workspaces.kill(workspace, files=FilesFate.SAVE)
        assert "retire killed" not in world.containers.log
        await world.workspaces.workspaces.kill(workspace, files=FilesFate.LOSE)
        assert "retire killed" in world.containers.log
        found = await world.workspaces.workspaces.find(tenant="default", workspace_id=workspace.id)
        assert found == workspace


async def test_deleting_forgets_it_and_saves_nothing() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace = await world.workspace()
        await live(world, workspace)
        await world.workspaces.workspaces.kill(workspace, files=FilesFate.DELETE)
    assert world.files.saves == []
    assert world.audit.kinds() == ["workspace_killed"]
    assert world.audit.events[0].details == {"files": "delete"}
    with pytest.raises(NoSuchWorkspaceError):
        await world.workspaces.workspaces.find(tenant="default", workspace_id=workspace.id)


async def test_a_conversations_files_are_not_deleted_alone() -> None:
    world = World()
    conversation = await world.conversation()
    workspace = await world.workspaces.workspaces.find_of(
        tenant="default", conversation_id=conversation.id
    )
    with pytest.raises(WorkspaceOwnedError):
        await world.workspaces.workspaces.kill(workspace, files=FilesFate.DELETE)
    assert world.containers.log == []


async def test_nothing_is_killed_under_a_running_turn() -> None:
    world = World()
    conversation = await world.conversation()
    workspace = await world.workspaces.workspaces.find_of(
        tenant="default", conversation_id=conversation.id
    )
    await world.store.begin_turn(
        conversation_id=conversation.id, text="hello", now=conversation.created_at
    )
    for files in FilesFate:
        with pytest.raises(TurnRunningError):
            await world.workspaces.workspaces.kill(workspace, files=files)
    assert world.containers.log == []


async def test_a_turn_that_began_while_files_were_saved_keeps_its_container() -> None:
    world = World()

    async def a_turn_begins() -> None:
        world.containers.held[workspace.id].add(TURN)

    world.files.when_saved = a_turn_begins
    async with world.workspaces.saver:
        workspace = await world.workspace()
        await live(world, workspace)
        with pytest.raises(TurnRunningError):
            await world.workspaces.workspaces.kill(workspace, files=FilesFate.SAVE)
    assert "retire killed" not in world.containers.log


async def test_a_turn_that_began_before_files_could_be_saved_is_not_killed() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace = await world.workspace()
        await live(world, workspace)
        world.containers.held[workspace.id].add(TURN)
        with pytest.raises(TurnRunningError):
            await world.workspaces.workspaces.kill(workspace, files=FilesFate.SAVE)
        assert world.containers.log == ["release of a kill"]
        assert not await world.workspaces.saver.flush(workspace.id), "it is still to be saved"
