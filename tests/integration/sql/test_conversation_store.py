"""The contract of `ConversationStore`, on SQLite and in memory."""

from dataclasses import replace
from datetime import timedelta
from functools import partial

import anyio
import pytest
import sqlalchemy as sa
from tests.integration.sql.conftest import NOW, conversation

from hakoiri.host.adapters.sql import conversation_store
from hakoiri.host.adapters.sql.conversation_store import SqlConversationStore
from hakoiri.host.adapters.sql.database import Database, DatabaseError
from hakoiri.host.adapters.sql.schema import events, workspaces
from hakoiri.host.conversations.model import ConversationKind
from hakoiri.host.conversations.ports import (
    ConversationStore,
    NoSuchConversationError,
    NoTurnRunningError,
    StoreError,
    TurnRunningError,
    TurnTakenOverError,
)
from hakoiri.wire.events import Error, EventData, Result, TextDelta, TurnStarted
from hakoiri.wire.messages import Runtime

pytestmark = pytest.mark.anyio


async def test_a_conversation_comes_back_as_it_was_stored(conversations: ConversationStore) -> None:
    stored = conversation("a")
    await conversations.create(stored)
    assert await conversations.get(tenant="default", conversation_id="c-a") == stored


async def test_another_tenants_conversation_is_like_a_missing_one(
    conversations: ConversationStore,
) -> None:
    await conversations.create(conversation("a", tenant="other"))
    messages = set()
    for name in ("c-a", "c-missing"):
        with pytest.raises(NoSuchConversationError) as caught:
            await conversations.get(tenant="default", conversation_id=name)
        with pytest.raises(NoSuchConversationError):
            await conversations.delete(tenant="default", conversation_id=name)
        with pytest.raises(NoSuchConversationError):
            await conversations.list(tenant="default", limit=5, before=name)
        messages.add(str(caught.value))
    assert len(messages) == 1
    assert await conversations.list(tenant="default", limit=5, before=None) == []


async def test_lists_run_newest_first_and_page(conversations: ConversationStore) -> None:
    for number in range(5):
        await conversations.create(
            conversation(f"n{number}", created_at=NOW + timedelta(seconds=number // 2))
        )
    first = await conversations.list(tenant="default", limit=2, before=None)
    second = await conversations.list(tenant="default", limit=9, before=first[-1].id)
    assert [item.id for item in [*first, *second]] == ["c-n4", "c-n3", "c-n2", "c-n1", "c-n0"]


async def test_a_turn_is_numbered_from_the_message_to_its_end(
    conversations: ConversationStore,
) -> None:
    await conversations.create(conversation("a"))
    message = await conversations.begin_turn(conversation_id="c-a", text="hi", now=NOW)
    assert (message.id, message.turn, message.type, message.data) == (
        1,
        1,
        "user_message",
        {"text": "hi"},
    )
    await conversations.append(
        conversation_id="c-a", turn=1, events=[TextDelta(text="x"), Result(text="x")], now=NOW
    )
    second = await conversations.begin_turn(conversation_id="c-a", text="again", now=NOW)
    assert (second.id, second.turn) == (4, 2)
    log = await conversations.read(conversation_id="c-a", after=0, limit=100)
    assert [event.id for event in log] == [1, 2, 3, 4]
    assert log[0] == message
    found = await conversations.get(tenant="default", conversation_id="c-a")
    assert (found.turn, found.running, found.last_event) == (2, True, 4)


async def test_a_second_message_while_a_turn_runs_is_refused(
    conversations: ConversationStore,
) -> None:
    await conversations.create(conversation("a"))
    await conversations.begin_turn(conversation_id="c-a", text="hi", now=NOW)
    with pytest.raises(TurnRunningError):
        await conversations.begin_turn(conversation_id="c-a", text="hi", now=NOW)
    with pytest.raises(TurnRunningError):
        await conversations.delete(tenant="default", conversation_id="c-a")


async def test_nothing_follows_a_turns_last_event(conversations: ConversationStore) -> None:
    await conversations.create(conversation("a"))
    await conversations.begin_turn(conversation_id="c-a", text="hi", now=NOW)
    with pytest.raises(NoTurnRunningError):
        await conversations.append(
            conversation_id="c-a", turn=2, events=[TextDelta(text="x")], now=NOW
        )
    await conversations.append(
        conversation_id="c-a", turn=1, events=[Error(code="x", text="y")], now=NOW
    )
    with pytest.raises(NoTurnRunningError):
        await conversations.append(
            conversation_id="c-a", turn=1, events=[TextDelta(text="x")], now=NOW
        )


async def test_an_append_that_follows_another_event_than_the_last_is_refused_whole(
    conversations: ConversationStore,
) -> None:
    await conversations.create(conversation("a"))
    await conversations.begin_turn(conversation_id="c-a", text="hi", now=NOW)
    append = partial(conversations.append, conversation_id="c-a", turn=1, now=NOW)
    await append(events=[TextDelta(text="x")], follows=1)
    with pytest.raises(TurnTakenOverError):
        await append(events=[TextDelta(text="late"), Result(text="")], follows=1, agent_seq=9)
    await append(events=[TextDelta(text="y")], follows=2)
    log = await conversations.read(conversation_id="c-a", after=0, limit=9)
    assert [event.data["text"] for event in log] == ["hi", "x", "y"]
    found = await conversations.get(tenant="default", conversation_id="c-a")
    assert (found.running, found.last_event, found.agent_seq) == (True, 3, 0)


async def test_one_of_many_simultaneous_messages_begins_the_turn(
    conversations: ConversationStore,
) -> None:
    await conversations.create(conversation("a"))
    begun: list[int] = []

    async def begin() -> None:
        try:
            event = await conversations.begin_turn(conversation_id="c-a", text="hi", now=NOW)
        except TurnRunningError:
            return
        begun.append(event.id)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(begin)
    assert begun == [1]


async def test_concurrent_appends_leave_no_gap(conversations: ConversationStore) -> None:
    await conversations.create(conversation("a"))
    await conversations.begin_turn(conversation_id="c-a", text="hi", now=NOW)
    given: list[int] = []

    async def append(count: int) -> None:
        added = await conversations.append(
            conversation_id="c-a", turn=1, events=[TextDelta(text="x")] * count, now=NOW
        )
        given.extend(event.id for event in added)

    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(append, number % 4)
    assert sorted(given) == list(range(2, len(given) + 2))
    log = await conversations.read(conversation_id="c-a", after=0, limit=1000)
    assert [event.id for event in log] == list(range(1, len(given) + 2))


async def test_reading_starts_after_the_given_number_and_keeps_the_limit(
    conversations: ConversationStore,
) -> None:
    await conversations.create(conversation("a"))
    await conversations.begin_turn(conversation_id="c-a", text="hi", now=NOW)
    await conversations.append(
        conversation_id="c-a", turn=1, events=[TextDelta(text="x")] * 9, now=NOW
    )
    page = await conversations.read(conversation_id="c-a", after=3, limit=4)
    assert [event.id for event in page] == [4, 5, 6, 7]
    assert not await conversations.read(conversation_id="c-a", after=10, limit=4)
    assert not await conversations.read(conversation_id="c-none", after=0, limit=4)


async def test_odd_text_comes_back_unchanged(conversations: ConversationStore) -> None:
    text = "nul \0 escape \x1b[31m newline \n\r u2028 \u2028 箱入り 🎎"
    await conversations.create(conversation("a"))
    await conversations.begin_turn(conversation_id="c-a", text=text, now=NOW)
    (event,) = await conversations.read(conversation_id="c-a", after=0, limit=4)
    assert event.data["text"] == text


async def test_running_turns_are_found(conversations: ConversationStore) -> None:
    await conversations.create(conversation("a"))
    await conversations.create(conversation("b"))
    await conversations.begin_turn(conversation_id="c-b", text="hi", now=NOW)
    (turn,) = await conversations.unfinished_turns()
    assert (turn.conversation_id, turn.turn) == ("c-b", 1)


async def test_the_agents_session_is_remembered(conversations: ConversationStore) -> None:
    await conversations.create(conversation("a"))
    assert await conversations.session_id("w-a") is None
    await conversations.set_session_id("w-a", "00-ff")
    assert await conversations.session_id("w-a") == "00-ff"


async def test_a_session_of_an_older_container_is_not_remembered(
    conversations: ConversationStore,
) -> None:
    await conversations.create(conversation("a"))  # of generation 0
    await conversations.set_session_id("w-a", "newer", generation=0)
    for session_id in ("older", None):
        await conversations.set_session_id("w-a", session_id, generation=-1)
        assert await conversations.session_id("w-a") == "newer"


async def test_deleting_forgets_events_and_workspace(database: Database) -> None:
    store = SqlConversationStore(database)
    await store.create(conversation("a"))
    await store.create(conversation("chat", kind=ConversationKind.CHAT))
    for name in ("c-a", "c-chat"):
        await store.begin_turn(conversation_id=name, text="hi", now=NOW)
        await store.append(conversation_id=name, turn=1, events=[Result(text="")], now=NOW)
        await store.delete(tenant="default", conversation_id=name)
    async with database.reading() as connection:
        for table in (events, workspaces):
            assert await connection.scalar(sa.select(sa.func.count()).select_from(table)) == 0


async def test_a_page_of_large_events_is_cut_by_bytes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation_store, "READ_LIMIT_BYTES", 250)
    store = SqlConversationStore(database)
    await store.create(conversation("a"))
    await store.begin_turn(conversation_id="c-a", text="x" * 1000, now=NOW)
    await store.append(
        conversation_id="c-a", turn=1, events=[TextDelta(text="y" * 90)] * 5, now=NOW
    )
    pages, after = [], 0
    while page := await store.read(conversation_id="c-a", after=after, limit=100):
        pages.append([event.id for event in page])
        after = page[-1].id
    assert pages == [[1], [2, 3], [4, 5], [6]]


async def test_a_database_that_fails_is_our_error_without_the_statement(
    database: Database,
) -> None:
    store = SqlConversationStore(database)
    async with database.writing() as connection:
        await connection.execute(sa.text("DROP TABLE events"))
    await store.create(conversation("a"))
    with pytest.raises(StoreError, match=r"no such table|does not exist") as caught:
        await store.begin_turn(conversation_id="c-a", text="a secret message", now=NOW)
    assert isinstance(caught.value, DatabaseError)
    assert "a secret message" not in str(caught.value)
    found = await store.get(tenant="default", conversation_id="c-a")
    assert not found.running


@pytest.mark.parametrize("runtime", [None, "runsc"])
async def test_the_runtime_asked_for_is_kept(
    conversations: ConversationStore, runtime: Runtime | None
) -> None:
    made = replace(conversation("a"), runtime=runtime)
    await conversations.create(made)
    assert await conversations.get(tenant="default", conversation_id=made.id) == made


async def test_how_far_an_agent_was_heard_is_recorded_with_its_events(
    conversations: ConversationStore,
) -> None:
    await conversations.create(conversation("a"))
    await conversations.begin_turn(conversation_id="c-a", text="hi", now=NOW)

    async def heard() -> int:
        return (await conversations.get(tenant="default", conversation_id="c-a")).agent_seq

    async def append(*data: EventData, agent_seq: int | None) -> None:
        await conversations.append(
            conversation_id="c-a", turn=1, events=data, now=NOW, agent_seq=agent_seq
        )

    assert await heard() == 0
    await append(TextDelta(text="x"), agent_seq=7)
    await append(TextDelta(text="y"), agent_seq=None)
    assert await heard() == 7
    await append(Result(text="x"), agent_seq=8)
    await conversations.begin_turn(conversation_id="c-a", text="hi", now=NOW)
    assert await heard() == 0, "each turn is numbered anew"


async def test_the_milestones_of_a_turn_tell_how_far_it_came(
    conversations: ConversationStore,
) -> None:
    await conversations.create(conversation("a"))
    for turn in (1, 2):
        await conversations.begin_turn(conversation_id="c-a", text=f"turn {turn}", now=NOW)
        await conversations.append(
            conversation_id="c-a",
            turn=turn,
            events=[TurnStarted(generation=turn), TextDelta(text="x"), Result(text="x")],
            now=NOW,
        )
    found = await conversations.milestones(conversation_id="c-a", turn=2)
    assert [event.type for event in found] == ["user_message", "turn_started"]
    assert found[0].data["text"] == "turn 2"
    assert await conversations.milestones(conversation_id="c-none", turn=1) == []
