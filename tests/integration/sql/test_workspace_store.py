"""The contract of `WorkspaceStore`, on SQLite and in memory."""

from datetime import timedelta

import pytest
from tests.integration.sql.conftest import NOW, conversation

from hakoiri.host.adapters.sql.claim_store import SqlClaimStore
from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.adapters.sql.workspace_heads import SqlWorkspaceHeads
from hakoiri.host.adapters.sql.workspace_store import SqlWorkspaceStore
from hakoiri.host.conversations.model import ConversationKind, SaveMark, Workspace
from hakoiri.host.conversations.ports import (
    ConversationStore,
    NoSuchConversationError,
    NoSuchWorkspaceError,
    StoreError,
    WorkspaceOwnedError,
    WorkspaceStore,
)
from hakoiri.host.files.ports import WorkspaceHead
from hakoiri.wire.events import Result, TextDelta

pytestmark = pytest.mark.anyio


def alone(name: str, *, tenant: str = "default", age_s: int = 0) -> Workspace:
    return Workspace(
        id=f"w-{name}",
        tenant=tenant,
        policy="web",
        conversation_id=None,
        created_at=NOW - timedelta(seconds=age_s),
    )


async def test_one_of_its_own_is_kept_and_forgotten(workspaces: WorkspaceStore) -> None:
    await workspaces.create_workspace(alone("a"))
    assert await workspaces.workspace(tenant="default", workspace_id="w-a") == alone("a")
    await workspaces.delete_workspace(tenant="default", workspace_id="w-a")
    with pytest.raises(NoSuchWorkspaceError):
        await workspaces.workspace(tenant="default", workspace_id="w-a")


async def test_a_conversation_has_one_that_goes_with_it(
    workspaces: WorkspaceStore, conversations: ConversationStore
) -> None:
    await conversations.create(conversation("a", policy="web"))
    found = await workspaces.workspace_of(tenant="default", conversation_id="c-a")
    assert found == await workspaces.workspace(tenant="default", workspace_id="w-a")
    assert (found.id, found.policy, found.conversation_id) == ("w-a", "web", "c-a")
    assert found.created_at == NOW
    with pytest.raises(WorkspaceOwnedError, match="delete c-a"):
        await workspaces.delete_workspace(tenant="default", workspace_id="w-a")
    await conversations.delete(tenant="default", conversation_id="c-a")
    with pytest.raises(NoSuchWorkspaceError):
        await workspaces.workspace(tenant="default", workspace_id="w-a")


async def test_a_chat_has_none(
    workspaces: WorkspaceStore, conversations: ConversationStore
) -> None:
    await conversations.create(conversation("a", kind=ConversationKind.CHAT))
    with pytest.raises(NoSuchWorkspaceError):
        await workspaces.workspace_of(tenant="default", conversation_id="c-a")


async def test_another_tenants_is_as_one_that_is_not_there(
    workspaces: WorkspaceStore, conversations: ConversationStore
) -> None:
    await workspaces.create_workspace(alone("a", tenant="other"))
    await conversations.create(conversation("b", tenant="other"))
    told = []
    for workspace_id in ("w-a", "w-b", "w-missing"):
        with pytest.raises(NoSuchWorkspaceError) as error:
            await workspaces.workspace(tenant="default", workspace_id=workspace_id)
        told.append(str(error.value))
        with pytest.raises(NoSuchWorkspaceError):
            await workspaces.delete_workspace(tenant="default", workspace_id=workspace_id)
    assert len(set(told)) == 1
    with pytest.raises(NoSuchConversationError):
        await workspaces.workspace_of(tenant="default", conversation_id="c-b")
    assert await workspaces.list_workspaces(tenant="default", limit=9, before=None) == []


async def test_they_are_listed_newest_first_in_pages(
    workspaces: WorkspaceStore, conversations: ConversationStore
) -> None:
    for age_s, name in enumerate("abc"):
        await workspaces.create_workspace(alone(name, age_s=age_s))
    await conversations.create(conversation("d", created_at=NOW - timedelta(hours=1)))
    first = await workspaces.list_workspaces(tenant="default", limit=2, before=None)
    rest = await workspaces.list_workspaces(tenant="default", limit=9, before=first[-1].id)
    assert [item.id for item in first] == ["w-a", "w-b"]
    assert [(item.id, item.conversation_id) for item in rest] == [("w-c", None), ("w-d", "c-d")]
    with pytest.raises(NoSuchWorkspaceError):
        await workspaces.list_workspaces(tenant="default", limit=9, before="w-missing")


async def test_a_save_is_marked_with_the_conversations_state(
    workspaces: WorkspaceStore, conversations: ConversationStore
) -> None:
    await workspaces.create_workspace(alone("b"))
    assert await workspaces.save_mark("w-b") == SaveMark(session_id=None, event_number=0)
    found = await workspaces.find_workspace("w-b")
    assert found is not None
    assert (found.id, found.conversation_id) == ("w-b", None)
    assert await workspaces.find_workspace("w-missing") is None
    await conversations.create(conversation("a"))
    await conversations.begin_turn(conversation_id="c-a", text="hi", now=NOW)
    await conversations.append(conversation_id="c-a", turn=1, events=[TextDelta(text="a")], now=NOW)
    await conversations.set_session_id("w-a", "ab")
    assert await workspaces.save_mark("w-a") == SaveMark("ab", 2, is_turn_running=True)
    await conversations.set_session_id("w-a", None)
    assert await workspaces.save_mark("w-a") == SaveMark(None, 2, is_turn_running=True)
    await conversations.append(conversation_id="c-a", turn=1, events=[Result(text="a")], now=NOW)
    assert await workspaces.save_mark("w-a") == SaveMark(None, 3, is_turn_running=False)
    with pytest.raises(NoSuchWorkspaceError):
        await workspaces.save_mark("w-missing")


async def test_containers_and_recovery_points_are_told(database: Database) -> None:
    workspaces = SqlWorkspaceStore(database)
    await workspaces.create_workspace(alone("a"))
    claims = SqlClaimStore(database, clock=lambda: NOW)
    await claims.claim(container_id="k", workspace_id="w-a")
    await SqlWorkspaceHeads(database).move_head("w-a", WorkspaceHead("rp-1", 1, 0))
    found = await workspaces.workspace(tenant="default", workspace_id="w-a")
    assert (found.generation, found.recovery_point) == (1, "rp-1")


async def test_a_failing_database_is_a_store_error(database: Database) -> None:
    async with database.writing() as connection:
        await connection.exec_driver_sql("DROP TABLE events")
        await connection.exec_driver_sql("DROP TABLE conversations")
    with pytest.raises(StoreError):
        await SqlWorkspaceStore(database).workspace(tenant="default", workspace_id="w-a")
