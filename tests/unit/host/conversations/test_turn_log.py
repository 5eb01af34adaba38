from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from tests.unit.host.conversations.scripted import NOW, World

from hakoiri.host.conversations.ports import NoTurnRunningError, TurnTakenOverError
from hakoiri.host.conversations.turn_log import TurnLog
from hakoiri.wire.events import ConversationEvent, Result, TextDelta

pytestmark = pytest.mark.anyio


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
