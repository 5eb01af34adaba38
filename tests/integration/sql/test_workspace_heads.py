import pytest
from tests.integration.sql.conftest import NOW, conversation

from hakoiri.host.adapters.sql.claim_store import SqlClaimStore
from hakoiri.host.adapters.sql.conversation_store import SqlConversationStore
from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.adapters.sql.workspace_heads import SqlWorkspaceHeads
from hakoiri.host.files.ports import FilesError, Named, StaleGenerationError, WorkspaceHead

pytestmark = pytest.mark.anyio

NOTHING = Named(frozenset())


@pytest.fixture
async def heads(database: Database) -> SqlWorkspaceHeads:
    await SqlConversationStore(database).create(conversation("a"))
    return SqlWorkspaceHeads(database)


def head(generation: int, event_number: int = 5) -> WorkspaceHead:
    return WorkspaceHead(
        recovery_point=f"rp-{generation}", generation=generation, event_number=event_number
    )


async def test_the_head_moves_forward(heads: SqlWorkspaceHeads) -> None:
    assert await heads.head("w-a") is None
    for generation in (1, 1, 2):
        await heads.move_head("w-a", head(generation), NOTHING)
        assert await heads.head("w-a") == head(generation)


async def test_an_older_generation_cannot_move_the_head(heads: SqlWorkspaceHeads) -> None:
    await heads.move_head("w-a", head(2), NOTHING)
    with pytest.raises(StaleGenerationError):
        await heads.move_head("w-a", head(1), NOTHING)
    assert await heads.head("w-a") == head(2)


async def test_a_container_that_was_given_up_cannot_save_after_the_next_claim(
    heads: SqlWorkspaceHeads, database: Database
) -> None:
    claims = SqlClaimStore(database, clock=lambda: NOW)
    old = await claims.claim(container_id="one", workspace_id="w-a")
    await claims.release("one")
    await claims.claim(container_id="two", workspace_id="w-a")
    with pytest.raises(StaleGenerationError):
        await heads.move_head("w-a", head(old), NOTHING)


async def test_a_deleted_workspace_takes_no_head(heads: SqlWorkspaceHeads) -> None:
    assert await heads.head("w-none") is None
    with pytest.raises(FilesError):
        await heads.move_head("w-none", head(1), NOTHING)
