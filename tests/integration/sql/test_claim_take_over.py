"""The claim of a server that is gone is given up in one step, which fences that server off."""

from datetime import timedelta

import anyio
import pytest
from tests.integration.sql.conftest import NOW, conversation
from tests.integration.sql.points import NOTHING

from hakoiri.host.adapters.sql.claim_store import SqlClaimStore
from hakoiri.host.adapters.sql.claim_take_over import SqlClaimTakeOver
from hakoiri.host.adapters.sql.conversation_store import SqlConversationStore
from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.adapters.sql.workspace_heads import SqlWorkspaceHeads
from hakoiri.host.containers.ports import ClaimRecord
from hakoiri.host.conversations.ports import TurnTakenOverError
from hakoiri.host.conversations.turn_history import TAKEN_OVER, read_history
from hakoiri.host.files.ports import StaleGenerationError, WorkspaceHead
from hakoiri.wire.events import Result, TurnStarted

pytestmark = pytest.mark.anyio

LATER = NOW + timedelta(minutes=5)


class World:
    def __init__(self, database: Database) -> None:
        self.conversations = SqlConversationStore(database)
        self.claims = SqlClaimStore(database, clock=lambda: NOW)
        self.heads = SqlWorkspaceHeads(database)
        self.take_over = SqlClaimTakeOver(database)

    async def claimed(self, name: str = "a") -> ClaimRecord:
        await self.conversations.create(conversation(name))
        await self.claims.claim(container_id=f"k-{name}", workspace_id=f"w-{name}")
        return ClaimRecord(f"k-{name}", f"w-{name}", 1, NOW)


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


async def test_a_turn_that_runs_is_told_and_its_server_appends_and_saves_nothing_more(
    world: World,
) -> None:
    record = await world.claimed()
    message = await world.conversations.begin_turn(conversation_id="c-a", text="x", now=NOW)
    started = TurnStarted(container="k-a", generation=1, start="cold")
    await world.conversations.append(conversation_id="c-a", turn=1, events=[started], now=NOW)
    (told,) = await world.take_over.give_up(record, notice=TAKEN_OVER, now=LATER) or ()
    assert (told.id, told.turn, told.time) == (message.id + 2, 1, LATER)
    with pytest.raises(TurnTakenOverError):
        await world.conversations.append(
            conversation_id="c-a", turn=1, events=[Result(text="late")], now=NOW, follows=2
        )
    with pytest.raises(StaleGenerationError):
        await world.heads.move_head("w-a", WorkspaceHead("p-late", 1, 2), NOTHING)
    found = await world.conversations.get(tenant="default", conversation_id="c-a")
    assert (found.running, found.turn) == (True, 1), "somebody takes it up"
    milestones = await world.conversations.milestones(conversation_id="c-a", turn=1)
    history = read_history(milestones, agent_seq=0)
    assert history is not None
    assert history.was_given_up
    assert await world.claims.claim(container_id="k-b", workspace_id="w-a") == 3


async def test_a_conversation_at_rest_is_told_before_its_next_turn(world: World) -> None:
    record = await world.claimed()
    (told,) = await world.take_over.give_up(record, notice=TAKEN_OVER, now=LATER) or ()
    message = await world.conversations.begin_turn(conversation_id="c-a", text="x", now=NOW)
    assert (told.id, told.turn, message.id, message.turn) == (1, 1, 2, 1)
    log = await world.conversations.read(conversation_id="c-a", after=0, limit=9)
    assert [event.type for event in log] == ["notice", "user_message"]


async def test_what_was_given_up_is_not_given_up_again(world: World) -> None:
    record = await world.claimed()
    await world.claimed("b")
    told: list[int | None] = []

    async def give_up() -> None:
        found = await world.take_over.give_up(record, notice=TAKEN_OVER, now=LATER)
        told.append(None if found is None else len(found))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(give_up)
    assert sorted(told, key=str) == [1, None, None]
    assert [one.container_id for one in await world.claims.claimed()] == ["k-b"]
    assert await world.claims.claim(container_id="k-c", workspace_id="w-a") == 3


async def test_a_workspace_that_is_gone_leaves_no_claim(world: World) -> None:
    record = await world.claimed()
    await world.conversations.delete(tenant="default", conversation_id="c-a")
    assert await world.take_over.give_up(record, notice=TAKEN_OVER, now=LATER) == []
    assert await world.claims.claimed() == []
