import pytest
from tests.unit.host.conversations.scripted import NOW, World

from hakoiri.host.conversations.ports import NoTurnRunningError
from hakoiri.host.conversations.turn_log import TurnLog
from hakoiri.wire.events import Result, TextDelta

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
