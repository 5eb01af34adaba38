from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from tests.unit.host.conversations.scripted import NOW, World

from hakoiri.host.conversations.ports import (
    NoTurnRunningError,
    StoreError,
    TurnTakenOverError,
)
from hakoiri.host.conversations.turn_log import TurnLog
from hakoiri.wire.events import ConversationEvent, Result, TextDelta

pytestmark = pytest.mark.anyio


async def begun(world: World) -> tuple[TurnLog, list[int]]:
    """Begin a turn; return its log, and the numbers of what its watchers are shown."""
    conversation = await world.conversation()
    message = await world.store.begin_turn(conversation_id=conversation.id, text="hi", now=NOW)
    shown: list[int] = []
    publish = world.feed.publish

    def publish_and_note(events: Sequence[ConversationEvent]) -> None:
        shown.extend(event.id for event in events)
        publish(events)

    world.feed.publish = publish_and_note  # type: ignore[method-assign]
    return TurnLog(store=world.store, feed=world.feed, clock=lambda: NOW, message=message), shown


def lose_next_answer(world: World, *, is_committed: bool = True) -> None:
    """Let the database go away in the next append, before or after it is committed."""
    append = world.store.append

    async def lost(**arguments: Any) -> Sequence[ConversationEvent]:
        world.store.append = append  # type: ignore[method-assign]
        if is_committed:
            await append(**arguments)
        raise StoreError("the connection was lost")

    world.store.append = lost  # type: ignore[method-assign]


@pytest.mark.parametrize("is_committed", [True, False])
async def test_an_append_without_an_answer_is_not_taken_for_somebody_elses(
    *, is_committed: bool
) -> None:
    world = World()
    log, shown = await begun(world)
    lose_next_answer(world, is_committed=is_committed)
    with pytest.raises(StoreError):
        await log.append(TextDelta(text="a"), TextDelta(text="b"))
    assert await log.append(Result(text="")) == (4 if is_committed else 2)
    assert shown == ([2, 3, 4] if is_committed else [2])


@pytest.mark.parametrize("is_committed", [True, False])
async def test_the_same_event_again_comes_once(*, is_committed: bool) -> None:
    world = World()
    log, shown = await begun(world)
    last = Result(text="")
    lose_next_answer(world, is_committed=is_committed)
    with pytest.raises(StoreError):
        await log.append(last)
    assert await log.append(last) == 2
    assert shown == [2]


async def test_an_event_that_only_looks_the_same_comes_too() -> None:
    world = World()
    log, shown = await begun(world)
    lose_next_answer(world)
    with pytest.raises(StoreError):
        await log.append(TextDelta(text="a"))
    assert await log.append(TextDelta(text="a")) == 3
    assert shown == [2, 3]


async def test_what_somebody_else_appended_meanwhile_is_not_taken_for_our_own() -> None:
    world = World()
    log, shown = await begun(world)
    lose_next_answer(world, is_committed=False)
    with pytest.raises(StoreError):
        await log.append(TextDelta(text="ours"))
    await world.store.append(
        conversation_id=log.conversation_id, turn=1, events=[TextDelta(text="theirs")], now=NOW
    )
    with pytest.raises(TurnTakenOverError):
        await log.append(TextDelta(text="ours too"))
    assert shown == []


async def test_a_store_that_gives_large_events_one_by_one_is_read_to_the_end() -> None:
    world = World()
    log, shown = await begun(world)
    read = world.store.read

    async def read_one(**arguments: Any) -> Sequence[ConversationEvent]:
        return (await read(**arguments))[:1]

    world.store.read = read_one  # type: ignore[method-assign]
    lose_next_answer(world)
    with pytest.raises(StoreError):
        await log.append(TextDelta(text="a"), TextDelta(text="b"), TextDelta(text="c"))
    assert await log.append(Result(text="")) == 5
    assert shown == [2, 3, 4, 5]


async def test_what_is_appended_is_numbered_shown_and_closed_by_the_last_event() -> None:
    world = World()
    conversation = await world.conversation()
    message = await world.store.begin_turn(conversation_id=conversation.id, text="hi", now=NOW)
    pages = world.feed.pages(conversation.id, after=0)
    assert [event.id for event in await anext(pages)] == [1]
    log = TurnLog(store=world.store, feed=world.feed, clock=lambda: NOW, message=message)
    await log.append()
    await log.append(TextDelta(text="a"), TextDelta(text="b"))
    assert log.last_event == 3
    assert [event.id for event in await anext(pages)] == [2, 3]
    await log.append(Result(text=""))
    with pytest.raises(NoTurnRunningError):
        await log.append(TextDelta(text="late"))
    await pages.aclose()


async def test_whoever_lost_the_turn_appends_nothing_more() -> None:
    world = World()
    conversation = await world.conversation()
    message = await world.store.begin_turn(conversation_id=conversation.id, text="hi", now=NOW)
    ours, theirs = (
        TurnLog(store=world.store, feed=world.feed, clock=lambda: NOW, message=message)
        for _ in range(2)
    )
    await ours.append(TextDelta(text="ours"))
    with pytest.raises(TurnTakenOverError):
        await theirs.append(TextDelta(text="theirs"))
    await ours.append(TextDelta(text="ours too"))


async def test_events_of_two_tasks_are_shown_in_the_order_of_their_numbers() -> None:
    world = World()
    conversation = await world.conversation()
    message = await world.store.begin_turn(conversation_id=conversation.id, text="hi", now=NOW)
    first_may_end = anyio.Event()
    append = world.store.append

    async def slow_append(**arguments: Any) -> Sequence[ConversationEvent]:
        added = await append(**arguments)
        if not first_may_end.is_set():
            await first_may_end.wait()
        return added

    shown: list[int] = []
    publish = world.feed.publish

    def publish_and_note(events: Sequence[ConversationEvent]) -> None:
        shown.extend(event.id for event in events)
        publish(events)

    world.store.append = slow_append  # type: ignore[method-assign]
    world.feed.publish = publish_and_note  # type: ignore[method-assign]
    log = TurnLog(store=world.store, feed=world.feed, clock=lambda: NOW, message=message)
    async with anyio.create_task_group() as group:
        group.start_soon(log.append, TextDelta(text="a"))
        await anyio.wait_all_tasks_blocked()
        group.start_soon(log.append, TextDelta(text="b"))
        await anyio.wait_all_tasks_blocked()
        first_may_end.set()
    assert (shown, log.last_event) == ([2, 3], 3)
    assert await log.append(TextDelta(text="c")) == 4
    assert await log.append() == 4
