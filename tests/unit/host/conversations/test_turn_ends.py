"""The last event of a turn, recorded as soon as the database lets it."""

from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from tests.unit.host.conversations.scripted import NOW, World, types

from hakoiri.host.conversations.ports import StoreError
from hakoiri.host.conversations.turn_ends import LAST_ATTEMPTS, TurnEnds
from hakoiri.host.conversations.turn_log import TurnLog
from hakoiri.wire.events import ConversationEvent, Result, TextDelta

pytestmark = pytest.mark.anyio

LAST = Result(text="done")


class Turn:
    """A turn whose database fails so many appends."""

    def __init__(self, *, failures: int = 0, retry_pause_s: float = 0) -> None:
        self.world = World()
        self.told: list[str] = []
        self.failures = failures
        self.attempts = 0
        self.ends = TurnEnds(
            feed=self.world.feed, told=self.told.append, retry_pause_s=retry_pause_s
        )
        self._append = self.world.store.append
        self.world.store.append = self.append  # type: ignore[method-assign]

    async def append(self, **given: Any) -> Sequence[ConversationEvent]:
        self.attempts += 1
        if self.failures:
            self.failures -= 1
            raise StoreError("the database does not answer")
        return await self._append(**given)

    async def begin(self) -> TurnLog:
        conversation = await self.world.conversation()
        message = await self.world.store.begin_turn(
            conversation_id=conversation.id, text="hi", now=NOW
        )
        return TurnLog(
            store=self.world.store, feed=self.world.feed, clock=lambda: NOW, message=message
        )

    async def log(self, log: TurnLog) -> list[str]:
        return types(
            await self.world.store.read(conversation_id=log.conversation_id, after=0, limit=9)
        )


@pytest.mark.parametrize("failures", [0, 1, 100])
async def test_an_end_is_recorded_once_however_often_that_fails(failures: int) -> None:
    turn = Turn(failures=failures)
    log = await turn.begin()
    await turn.ends.record(log, LAST)
    assert await turn.log(log) == ["user_message", "result"]
    assert turn.told == ["result"]


async def test_a_server_that_ends_tries_a_few_times_more_and_then_leaves_it() -> None:
    turn = Turn(failures=1000)
    log = await turn.begin()
    turn.ends.leave()
    await turn.ends.record(log, LAST)
    assert turn.attempts == LAST_ATTEMPTS
    assert await turn.log(log) == ["user_message"]
    assert turn.told == []


async def test_a_server_that_ends_wakes_whoever_waits_for_the_next_attempt() -> None:
    turn = Turn(failures=1, retry_pause_s=3600)
    log = await turn.begin()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(turn.ends.record, log, LAST)
            await anyio.wait_all_tasks_blocked()
            assert turn.told == []
            turn.ends.leave()
    assert turn.told == ["result"]


async def test_a_turn_that_is_somebody_elses_by_now_is_left_and_its_watchers_look() -> None:
    turn = Turn()
    log = await turn.begin()
    pages = turn.world.feed.pages(log.conversation_id, after=1)
    seen: list[str] = []

    async def watch() -> None:
        seen.extend(types(await anext(pages)))

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        await anyio.wait_all_tasks_blocked()
        await turn.world.store.append(
            conversation_id=log.conversation_id, turn=1, events=[TextDelta(text="x")], now=NOW
        )
        await turn.ends.record(log, LAST)
    assert (seen, turn.told) == (["text_delta"], [])
    await pages.aclose()
