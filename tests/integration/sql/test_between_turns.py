"""Events that no turn tells."""

import pytest
from tests.integration.sql.conftest import NOW, conversation

from hakoiri.host.adapters.sql.between_turns import (
    conversation_at_rest,
    tell_between_turns,
    tell_now,
)
from hakoiri.host.adapters.sql.conversation_store import SqlConversationStore
from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.conversations.ports import TurnRunningError
from hakoiri.host.conversations.turn_history import read_history
from hakoiri.wire.events import Notice, Result

pytestmark = pytest.mark.anyio

TOLD = Notice(code="told", text="between two turns")


async def test_they_are_numbered_like_all_and_count_to_the_next_turn(database: Database) -> None:
    store = SqlConversationStore(database)
    await store.create(conversation("a"))
    async with database.writing() as connection:
        assert await conversation_at_rest(connection, "w-a") == "c-a"
        first = await tell_between_turns(connection, "c-a", TOLD, now=NOW)
    assert (first.id, first.turn) == (1, 1)
    message = await store.begin_turn(conversation_id="c-a", text="x", now=NOW)
    await store.append(conversation_id="c-a", turn=1, events=[Result(text="y")], now=NOW)
    async with database.writing() as connection:
        second = await tell_between_turns(connection, "c-a", TOLD, now=NOW)
    assert (message.id, message.turn, second.id, second.turn) == (2, 1, 4, 2)
    log = await store.read(conversation_id="c-a", after=0, limit=9)
    assert [event.id for event in log] == [1, 2, 3, 4]
    found = await store.get(tenant="default", conversation_id="c-a")
    assert (found.running, found.turn, found.last_event) == (False, 1, 4)


async def test_a_turn_after_them_can_be_taken_up(database: Database) -> None:
    store = SqlConversationStore(database)
    await store.create(conversation("a"))
    async with database.writing() as connection:
        await tell_between_turns(connection, "c-a", TOLD, now=NOW)
    await store.begin_turn(conversation_id="c-a", text="do it", now=NOW)
    milestones = await store.milestones(conversation_id="c-a", turn=1)
    history = read_history(milestones, agent_seq=0)
    assert history is not None
    assert history.text == "do it"


async def test_while_a_turn_runs_a_conversation_is_not_at_rest(database: Database) -> None:
    store = SqlConversationStore(database)
    await store.create(conversation("a"))
    await store.begin_turn(conversation_id="c-a", text="x", now=NOW)
    async with database.writing() as connection:
        with pytest.raises(TurnRunningError):
            await conversation_at_rest(connection, "w-a")
        assert await conversation_at_rest(connection, "w-none") is None


async def test_what_is_told_now_is_the_running_turns_and_else_the_next_ones(
    database: Database,
) -> None:
    store = SqlConversationStore(database)
    await store.create(conversation("a"))
    async with database.writing() as connection:
        assert await tell_now(connection, "w-none", TOLD, now=NOW) is None
        first = await tell_now(connection, "w-a", TOLD, now=NOW)
    await store.begin_turn(conversation_id="c-a", text="x", now=NOW)
    async with database.writing() as connection:
        second = await tell_now(connection, "w-a", TOLD, now=NOW)
    await store.append(conversation_id="c-a", turn=1, events=[Result(text="y")], now=NOW)
    async with database.writing() as connection:
        third = await tell_now(connection, "w-a", TOLD, now=NOW)
    told = [(event.id, event.turn) for event in (first, second, third) if event is not None]
    assert told == [(1, 1), (3, 1), (5, 2)]
