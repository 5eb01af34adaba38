from dataclasses import replace

import pytest
from tests.unit.host.conversations.scripted import DIRECTORIES, ScriptedFiles, World

from hakoiri.host.conversations.workspace_owners import WorkspaceOwners
from hakoiri.host.files.points import PointReason
from hakoiri.host.files.ports import FilesError, StaleGenerationError
from hakoiri.wire.policy import DENY_ALL

pytestmark = pytest.mark.anyio


def owners_in(world: World) -> WorkspaceOwners:
    return WorkspaceOwners(store=world.workspace_store, policies=world.policies, files=world.files)


async def test_a_workspace_belongs_to_its_conversations_tenant() -> None:
    world = World()
    conversation = await world.conversation(tenant="acme")
    assert conversation.workspace_id is not None
    owner = await owners_in(world).owner(conversation.workspace_id)
    assert owner is not None
    assert (owner.tenant, owner.policy) == ("acme", DENY_ALL)
    assert await owners_in(world).owner("w-deleted") is None


async def test_without_its_policy_a_workspace_has_no_owner() -> None:
    world = World()
    conversation = await world.conversation()
    lost = replace(conversation, id="c-2", workspace_id="w-2", policy="removed")
    await world.store.create(lost)
    assert await owners_in(world).owner("w-2") is None


@pytest.mark.parametrize(
    ("failure", "is_done"),
    [(None, True), (StaleGenerationError("2 has"), True), (FilesError("store away"), False)],
)
async def test_a_save_says_whether_the_container_may_go(
    failure: Exception | None,
    is_done: bool,  # noqa: FBT001 - parametrized
) -> None:
    world = World(files=ScriptedFiles(save_failure=failure))
    conversation = await world.conversation()
    assert conversation.workspace_id is not None
    saved = await owners_in(world).save(
        conversation.workspace_id, generation=1, directories=DIRECTORIES
    )
    assert saved == is_done


async def test_files_of_a_workspace_that_was_deleted_need_no_save() -> None:
    world = World()
    assert await owners_in(world).save("w-deleted", generation=1, directories=DIRECTORIES)
    assert world.files.saves == []


async def test_a_workspace_without_a_conversation_is_owned_and_saved() -> None:
    world = World()
    workspace = await world.workspace(tenant="acme")
    owner = await owners_in(world).owner(workspace.id)
    assert owner is not None
    assert owner.tenant == "acme"
    assert await owners_in(world).save(workspace.id, generation=1, directories=DIRECTORIES)
    assert world.files.reasons == [PointReason.BEFORE_REMOVAL]
