from collections.abc import Sequence

import anyio
import pytest
from tests.unit.host.conversations.scripted import NOW

from hakoiri.host.conversations import event_feed
from hakoiri.host.conversations.event_feed import EventFeed, is_end_of_turn
from hakoiri.host.conversations.model import Conversation, ConversationKind
from hakoiri.host.conversations.ports import ServerStoppingError, StoreError
from hakoiri.host.conversations.testing import MemoryConversations
from hakoiri.wire.agent import AgentOptions
from hakoiri.wire.events import ConversationEvent, Error, Result, TextDelta

pytestmark = pytest.mark.anyio


class Log:
    """A conversation with a running turn, and its feed."""

    def __init__(self) -> None:
        self.store = MemoryConversations()
        self.feed = EventFeed(store=self.store)

    async def begin(self) -> None:
        await self.store.create(
            Conversation(
                id="c-1",
                tenant="default",
                kind=ConversationKind.CHAT,
                workspace_id=None,
                policy="default",
                options=AgentOptions(),
                created_at=NOW,
                turn=0,
                running=False,
                last_event=0,
            )
        )
        await self.store.begin_turn(conversation_id="c-1", text="hi", now=NOW)

    async def commit(self, *data: TextDelta | Result) -> Sequence[ConversationEvent]:
        return await self.store.append(conversation_id="c-1", turn=1, events=data, now=NOW)

    async def add(self, *data: TextDelta | Result) -> None:
        self.feed.publish(await self.commit(*data))


@pytest.fixture
async def log() -> Log:
    log = Log()
    await log.begin()
    return log


async def watch(log: Log, seen: list[int], *, after: int = 0) -> None:
    async for event in log.feed.follow("c-1", after=after, until_turn=1):
        seen.append(event.id)  # noqa: PERF401 - what was seen counts at every moment


async def test_watchers_get_the_past_and_the_live_events_in_order(log: Log) -> None:
    await log.add(TextDelta(text="a"))
    first: list[int] = []
    second: list[int] = []
    async with anyio.create_task_group() as group:
        group.start_soon(watch, log, first)
        await anyio.wait_all_tasks_blocked()
        await log.add(TextDelta(text="b"))
        await anyio.wait_all_tasks_blocked()
        group.start_soon(watch, log, second)
        await log.add(TextDelta(text="c"), Result(text=""))
    assert first == second == [1, 2, 3, 4, 5]


async def test_events_published_out_of_order_are_still_seen_once_and_in_order(log: Log) -> None:
    seen: list[int] = []
    async with anyio.create_task_group() as group:
        group.start_soon(watch, log, seen)
        await anyio.wait_all_tasks_blocked()
        await log.add(TextDelta(text="a"))
        await anyio.wait_all_tasks_blocked()
        three = await log.commit(TextDelta(text="b"))
        four = await log.commit(TextDelta(text="c"))
        for batch in (four, three, three):
            log.feed.publish(batch)
            await anyio.wait_all_tasks_blocked()
        await log.add(TextDelta(text="d"), Result(text=""))
    assert seen == [1, 2, 3, 4, 5, 6]


async def test_a_watcher_that_keeps_up_reads_the_store_seldom(log: Log) -> None:
    seen: list[int] = []
    async with anyio.create_task_group() as group:
        group.start_soon(watch, log, seen)
        await anyio.wait_all_tasks_blocked()
        before = log.store.reads
        for _ in range(50):
            await log.add(TextDelta(text="x"))
        await anyio.wait_all_tasks_blocked()
        assert len(seen) == 51
        assert log.store.reads - before <= 2
        await log.add(Result(text=""))


async def test_the_shared_tail_is_bounded_in_events_and_characters(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_feed, "TAIL_LIMIT_EVENTS", 5)
    monkeypatch.setattr(event_feed, "TAIL_LIMIT_CHARS", 100)
    pages = log.feed.pages("c-1", after=0)
    assert [event.id for event in await anext(pages)] == [1]
    channel = log.feed._channels["c-1"]
    for _ in range(20):
        await log.add(TextDelta(text="x"))
        assert len(channel._tail) <= 5
    await log.add(TextDelta(text="y" * 200))
    assert len(channel._tail) == 0
    await log.add(TextDelta(text="z"))
    seen: list[int] = []
    while len(seen) < 22:
        seen += [event.id for event in await anext(pages)]
    assert seen == list(range(2, 24))
    await pages.aclose()


async def test_nobody_watching_costs_nothing(log: Log) -> None:
    await log.add(TextDelta(text="x"))
    assert len(log.feed._channels) == 0


async def test_a_silent_log_gives_empty_pages(log: Log) -> None:
    pages = log.feed.pages("c-1", after=1, idle_timeout_s=0.001)
    assert await anext(pages) == ()
    await log.add(TextDelta(text="x"))
    assert [event.id for event in await anext(pages)] == [2]
    await pages.aclose()


async def test_who_watches_stays_while_the_database_is_away(log: Log) -> None:
    pages = log.feed.pages("c-1", after=1, idle_timeout_s=0.001)
    log.store.broken = True
    assert await anext(pages) == ()
    assert await anext(pages) == ()
    log.store.broken = False
    await log.add(TextDelta(text="x"))
    assert [event.id for event in await anext(pages)] == [2]
    await pages.aclose()


async def test_who_never_hears_of_silence_is_told_of_a_database_that_is_away(log: Log) -> None:
    pages = log.feed.pages("c-1", after=1)
    log.store.broken = True
    with pytest.raises(StoreError):
        await anext(pages)


async def test_watchers_read_what_another_server_wrote_when_they_are_told(log: Log) -> None:
    await log.commit(TextDelta(text="x"))
    pages = log.feed.pages("c-1", after=2)
    seen: list[int] = []

    async def read() -> None:
        async for page in pages:
            seen.extend(event.id for event in page)

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        await log.commit(TextDelta(text="y"))
        log.feed.wake("c-2")
        await anyio.wait_all_tasks_blocked()
        assert seen == []
        log.feed.wake("c-1")
        await anyio.wait_all_tasks_blocked()
        assert seen == [3]
        await log.commit(TextDelta(text="z"))
        log.feed.wake_all()
        await anyio.wait_all_tasks_blocked()
        assert seen == [3, 4]
        group.cancel_scope.cancel()


async def test_watching_ends_when_the_conversation_is_gone(log: Log) -> None:
    seen: list[int] = []
    async with anyio.create_task_group() as group:
        group.start_soon(watch, log, seen)
        await anyio.wait_all_tasks_blocked()
        log.feed.close("c-1")
    assert seen == [1]


def test_a_turn_ends_with_its_terminal_event_or_with_a_later_turn() -> None:
    def event(turn: int, data: TextDelta | Result | Error) -> ConversationEvent:
        return ConversationEvent.of(number=1, time=NOW, conversation_id="c", turn=turn, data=data)

    assert is_end_of_turn(event(2, Result(text="")), 2)
    assert is_end_of_turn(event(2, Error(code="x", text="")), 2)
    assert is_end_of_turn(event(3, TextDelta(text="")), 2)
    assert not is_end_of_turn(event(2, TextDelta(text="")), 2)
    assert not is_end_of_turn(event(1, Result(text="")), 2)


async def test_who_watches_is_counted_until_it_leaves(log: Log) -> None:
    first = log.feed.pages("c-1", after=0)
    second = log.feed.pages("c-1", after=0)
    await anext(first)
    await anext(second)
    assert log.feed.watchers == 2
    await first.aclose()
    assert log.feed.watchers == 1
    await second.aclose()
    assert log.feed.watchers == 0


async def test_a_stop_ends_those_who_wait_and_those_who_come_later(log: Log) -> None:
    seen: list[int] = []

    async def until_stopped() -> None:
        with pytest.raises(ServerStoppingError):
            await watch(log, seen)

    async with anyio.create_task_group() as group:
        group.start_soon(until_stopped)
        await anyio.wait_all_tasks_blocked()
        assert seen == [1]
        log.feed.stop()
    assert log.feed.watchers == 0
    with pytest.raises(ServerStoppingError):
        await anext(log.feed.pages("c-1", after=0))


async def test_a_stop_comes_after_a_whole_page_and_before_the_next(log: Log) -> None:
    pages = log.feed.pages("c-1", after=0)
    assert [event.id for event in await anext(pages)] == [1]
    await log.add(TextDelta(text="b"))
    log.feed.stop()
    with pytest.raises(ServerStoppingError):
        await anext(pages)
