import anyio
import pytest
from tests.integration.sql.conftest import NOW, conversation

from hakoiri.host.adapters.sql.claim_store import SqlClaimStore
from hakoiri.host.adapters.sql.conversation_store import SqlConversationStore
from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.containers.ports import ClaimConflictError, ClaimRecord, ContainersError

pytestmark = pytest.mark.anyio


@pytest.fixture
async def claims(database: Database) -> SqlClaimStore:
    for name in "ab":
        await SqlConversationStore(database).create(conversation(name))
    return SqlClaimStore(database, clock=lambda: NOW)


async def test_each_claim_counts_the_generation_up(claims: SqlClaimStore) -> None:
    assert await claims.claim(container_id="one", workspace_id="w-a") == 1
    assert await claims.claim(container_id="two", workspace_id="w-b") == 1
    await claims.release("one")
    await claims.release("one")
    assert await claims.claim(container_id="three", workspace_id="w-a") == 2
    assert sorted(await claims.claimed(), key=lambda one: one.generation) == [
        ClaimRecord("two", "w-b", 1, NOW),
        ClaimRecord("three", "w-a", 2, NOW),
    ]


async def test_a_claim_of_which_nothing_is_to_be_filled_is_so_from_the_start(
    claims: SqlClaimStore,
) -> None:
    await claims.claim(container_id="one", workspace_id="w-a", is_filled=True)
    assert [one.is_filled for one in await claims.claimed()] == [True]


async def test_a_claim_is_filled_when_that_was_recorded(claims: SqlClaimStore) -> None:
    await claims.claim(container_id="one", workspace_id="w-a")
    await claims.claim(container_id="two", workspace_id="w-b")
    await claims.fill("one")
    await claims.fill("gone")
    assert {one.container_id: one.is_filled for one in await claims.claimed()} == {
        "one": True,
        "two": False,
    }


@pytest.mark.parametrize(("container", "workspace"), [("two", "w-a"), ("one", "w-b")])
async def test_a_second_claim_is_refused_and_counts_nothing(
    claims: SqlClaimStore, container: str, workspace: str
) -> None:
    await claims.claim(container_id="one", workspace_id="w-a")
    with pytest.raises(ClaimConflictError):
        await claims.claim(container_id=container, workspace_id=workspace)
    await claims.release("one")
    assert await claims.claim(container_id="one", workspace_id="w-a") == 2


async def test_a_missing_workspace_cannot_be_claimed(claims: SqlClaimStore) -> None:
    with pytest.raises(ClaimConflictError):
        await claims.claim(container_id="one", workspace_id="w-none")
    assert await claims.claimed() == []


async def test_one_of_many_simultaneous_claims_wins(claims: SqlClaimStore) -> None:
    won: list[int] = []

    async def claim(number: int) -> None:
        try:
            won.append(await claims.claim(container_id=f"k-{number}", workspace_id="w-a"))
        except ClaimConflictError:
            return

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(claim, number)
    assert won == [1]


async def test_a_failing_database_is_an_error_of_the_containers_room(
    claims: SqlClaimStore, database: Database
) -> None:
    async with database.writing() as connection:
        await connection.exec_driver_sql("DROP TABLE claims")
    with pytest.raises(ContainersError):
        await claims.claimed()
