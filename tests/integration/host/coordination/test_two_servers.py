"""Two servers on one real database: no turn runs twice, and each sees what the other does."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio
import pytest
from tests.integration.host.coordination.arenas import LEASE_S, Arena, RedisArena, until
from tests.integration.host.coordination.servers import Server, server
from tests.redis_server import RedisServer
from tests.unit.host.conversations.scripted import ANSWER, Step, types

from hakoiri.host.adapters.redis.coordination import RedisCoordination
from hakoiri.host.conversations.model import Conversation
from hakoiri.host.conversations.ports import NoTurnRunningError, TurnRunningError
from hakoiri.host.coordination.ports import CoordinationAwayError, UnsettledError
from hakoiri.wire.events import ConversationEvent, Result, TextDelta

pytestmark = pytest.mark.anyio

GOOD_TURN = ["user_message", "turn_started", "text_delta", "file_synced", "result"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hakoiri.db"


async def test_a_message_at_the_other_server_does_not_touch_a_turn_that_runs(
    arena: Arena, path: Path
) -> None:
    go_on = anyio.Event()
    async with server(arena, path, "a", [go_on, *ANSWER]) as a, server(arena, path, "b") as b:
        conversation = await a.conversation()
        first = await a.begin(conversation)
        with pytest.raises(TurnRunningError):
            await b.begin(conversation)
        await b.service.take_up_unfinished()
        go_on.set()
        await a.rest_of_turn(first)
        assert types(await b.log(conversation)) == GOOD_TURN
        assert b.agent.requests == []


async def test_of_messages_at_both_at_once_one_begins(arena: Arena, path: Path) -> None:
    go_on = anyio.Event()
    begun: list[tuple[Server, ConversationEvent]] = []
    async with (
        server(arena, path, "a", [go_on, *ANSWER]) as a,
        server(arena, path, "b", [go_on, *ANSWER]) as b,
    ):
        conversation = await a.conversation()

        async def send(to: Server) -> None:
            try:
                begun.append((to, await to.begin(conversation)))
            except TurnRunningError:
                return

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(send, a)
                group.start_soon(send, b)
        go_on.set()
        ((ran, first),) = begun
        await ran.rest_of_turn(first)
        assert types(await b.log(conversation)) == GOOD_TURN
        assert len(a.agent.requests) + len(b.agent.requests) == 1


async def test_turns_alternate_between_servers(arena: Arena, path: Path) -> None:
    async with server(arena, path, "a") as a, server(arena, path, "b") as b:
        conversation = await a.conversation()
        for one in (a, b, b, a):
            events = await one.rest_of_turn(await one.begin(conversation))
            assert types(events) == GOOD_TURN
        assert types(await b.log(conversation)) == GOOD_TURN * 4


async def test_a_watcher_of_one_server_sees_the_others_turn_live(arena: Arena, path: Path) -> None:
    go_on = anyio.Event()
    script: Sequence[Step] = [(1, TextDelta(text="hi")), go_on, (2, Result(text="hi"))]
    async with server(arena, path, "a", script) as a, server(arena, path, "b") as b:
        conversation = await a.conversation()
        first = await a.begin(conversation)
        async with asyncio.timeout(60):
            async for event in b.feed.follow(conversation.id, after=0, until_turn=first.turn):
                if event.type == "text_delta":
                    go_on.set()  # so nobody saw the end before the beginning
                last = event
        assert last.type == "result"


async def test_a_turn_is_interrupted_from_the_other_server(arena: Arena, path: Path) -> None:
    async with server(arena, path, "a", []) as a, server(arena, path, "b") as b:
        a.agent.scripts = [[a.agent.interrupted, (1, Result(text="half"))]]
        conversation = await a.conversation()
        with pytest.raises(NoTurnRunningError):
            await b.service.interrupt(tenant="default", conversation_id=conversation.id)
        first = await a.begin(conversation)
        await until(lambda: bool(a.agent.requests))
        await b.service.interrupt(tenant="default", conversation_id=conversation.id)
        assert (await b.rest_of_turn(first))[-1].type == "result"


async def test_watchers_of_the_other_server_end_with_the_conversation(
    arena: Arena, path: Path
) -> None:
    async with server(arena, path, "a") as a, server(arena, path, "b") as b:
        conversation = await a.conversation()
        seen: list[str] = []

        async def watch() -> None:
            async for event in b.feed.follow(conversation.id, after=0):
                seen.append(event.type)  # noqa: PERF401 - what was seen counts at every moment

        async with asyncio.timeout(60), anyio.create_task_group() as group:
            group.start_soon(watch)
            await a.rest_of_turn(await a.begin(conversation))
            await until(lambda: bool(seen))
            await a.service.delete(tenant="default", conversation_id=conversation.id)


async def test_a_server_that_comes_back_takes_its_own_turn_up_and_no_other_does(
    arena: Arena, path: Path
) -> None:
    async with server(arena, path, "b") as b:
        async with server(arena, path, "a", [anyio.Event()], leaves=True) as a:
            conversation = await a.conversation()
            first = await a.begin(conversation)
            await until(lambda: bool(a.agent.requests))
        await b.service.take_up_unfinished()
        with pytest.raises(TurnRunningError):
            await b.begin(conversation)
        async with server(arena, path, "a", take_up=True) as again:
            events = await again.rest_of_turn(first)
        assert types(events) == [
            "user_message",
            "turn_started",
            "notice",
            "text_delta",
            "file_synced",
            "result",
        ]
        assert b.agent.requests == []


async def test_a_turn_of_a_server_that_stays_away_is_taken_up_unless_its_box_is_there(
    arena: Arena, path: Path
) -> None:
    async with server(arena, path, "b") as b:
        async with server(arena, path, "a", [anyio.Event()], leaves=True) as a:
            conversation = await a.conversation()
            first = await a.begin(conversation)
        await arena.run_out()
        b.elsewhere.add("w-1")
        await b.service.take_up_unfinished()
        assert not b.service._running
        b.elsewhere.clear()
        await b.service.take_up_unfinished()
        events = await b.rest_of_turn(first)
        assert events[-1].type == "result"
        assert len(b.agent.requests) == 1


async def test_who_lost_his_lease_unaware_writes_nothing_any_more(arena: Arena, path: Path) -> None:
    go_on = anyio.Event()
    script: Sequence[Step] = [
        (1, TextDelta(text="mine")),
        go_on,
        (2, TextDelta(text="late")),
        (3, Result(text="")),
    ]
    async with server(arena, path, "b", generation=2) as b:
        async with server(arena, path, "a", script) as a:
            conversation = await a.conversation()
            first = await a.begin(conversation)
            await until(has_written(a, conversation, 3))
            await lose_all_leases(arena, a)
            await b.service.take_up_unfinished()
            events = await b.rest_of_turn(first)
            go_on.set()
            await anyio.wait_all_tasks_blocked()
        assert await b.log(conversation) == events
        told = [event.data.get("text") for event in events if event.type == "text_delta"]
        assert told == ["mine", "hi"]
        assert [event.type for event in events].count("result") == 1


async def test_who_lost_his_lease_cannot_write_into_the_midst_of_the_others_turn(
    arena: Arena, path: Path
) -> None:
    """The new holder's turn runs still, so that only the fence stands against the old one."""
    late, end = anyio.Event(), anyio.Event()
    script: Sequence[Step] = [(1, TextDelta(text="mine")), late, (2, TextDelta(text="late"))]
    async with server(
        arena, path, "b", [(1, TextDelta(text="b")), end, (2, Result(text=""))], generation=2
    ) as b:
        async with server(arena, path, "a", script) as a:
            conversation = await a.conversation()
            first = await a.begin(conversation)
            await until(has_written(a, conversation, 3))
            await lose_all_leases(arena, a)
            await b.service.take_up_unfinished()
            await until(has_written(b, conversation, 6))
            late.set()
            await until(lambda: not a.service._running)
            end.set()
            events = await b.rest_of_turn(first)
        told = [event.data.get("text") for event in events if event.type == "text_delta"]
        assert told == ["mine", "b"]


async def renew(one: Server) -> None:
    assert isinstance(one.coordination, RedisCoordination)
    assert await one.coordination.renew()


async def back(one: Server) -> None:
    """Wait until a server has found Redis again."""
    assert isinstance(one.coordination, RedisCoordination)
    async with asyncio.timeout(60):
        await one.coordination.link.until_up()


def has_written(
    one: Server, conversation: Conversation, events: int
) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return len(await one.log(conversation)) >= events

    return holds


async def lose_all_leases(arena: Arena, of: Server) -> None:
    """Let a server that lives lose its leases, as if it had been cut off for long."""
    if isinstance(arena, RedisArena):
        await arena.run_out()
        return
    for given in list(of.coordination._mine):  # type: ignore[attr-defined]
        given.until_s = 0.0


async def test_a_turn_goes_on_while_redis_is_away_and_new_ones_are_refused(
    redis: RedisServer, path: Path
) -> None:
    arena = RedisArena(redis)
    go_on = anyio.Event()
    async with server(arena, path, "a", [go_on, *ANSWER], ANSWER) as a:
        conversation, other = await a.conversation(), await a.conversation("2")
        first = await a.begin(conversation)
        redis.kill()
        with pytest.raises(CoordinationAwayError):
            await a.begin(other)
        with pytest.raises(TurnRunningError):  # what runs here is known without asking
            await a.begin(conversation)
        go_on.set()
        assert types(await a.rest_of_turn(first)) == GOOD_TURN
        with pytest.raises(CoordinationAwayError):
            await a.begin(conversation)
        assert types(await a.log(other)) == []
        redis.start()
        await back(a)
        for one in (conversation, other):
            assert types(await a.rest_of_turn(await a.begin(one))) == GOOD_TURN


async def test_alone_by_choice_turns_begin_while_redis_is_away_and_none_twice_after(
    redis: RedisServer, path: Path
) -> None:
    arena = RedisArena(redis, when_away="local")
    go_on = anyio.Event()
    async with server(arena, path, "a", [go_on, *ANSWER]) as a:
        conversation = await a.conversation()
        redis.kill()
        first = await a.begin(conversation)
        with pytest.raises(TurnRunningError):
            await a.begin(conversation)
        redis.start()
        await back(a)
        await renew(a)
        async with server(arena, path, "b") as b:
            await b.service.take_up_unfinished()
            with pytest.raises(TurnRunningError):
                await b.begin(conversation)
        go_on.set()
        await a.rest_of_turn(first)
        assert types(await a.log(conversation)) == GOOD_TURN


async def test_a_redis_that_forgot_the_lease_does_not_end_the_turn(
    redis: RedisServer, path: Path
) -> None:
    arena = RedisArena(redis)
    go_on = anyio.Event()
    async with server(arena, path, "a", [go_on, *ANSWER]) as a, server(arena, path, "b") as b:
        arena.clock.now_s += LEASE_S
        conversation = await a.conversation()
        first = await a.begin(conversation)
        redis.restart()
        await renew(b)
        with pytest.raises(UnsettledError):  # nobody has the lease, and that means nothing yet
            await b.begin(conversation)
        await b.service.take_up_unfinished()
        await renew(a)
        arena.clock.now_s += LEASE_S
        with pytest.raises(TurnRunningError):
            await b.begin(conversation)
        go_on.set()
        await a.rest_of_turn(first)
        assert types(await b.log(conversation)) == GOOD_TURN


async def test_a_turn_that_was_left_behind_is_closed_once_that_is_known(
    redis: RedisServer, path: Path
) -> None:
    arena = RedisArena(redis)
    async with server(arena, path, "b") as b:
        async with server(arena, path, "a", [anyio.Event()], leaves=True) as a:
            conversation = await a.conversation()
            await a.begin(conversation)
        redis.restart()
        await renew(b)
        with pytest.raises(UnsettledError):
            await b.begin(conversation)
        arena.clock.now_s += LEASE_S
        events = await b.rest_of_turn(await b.begin(conversation))
        assert types(events) == GOOD_TURN
        whole = types(await b.log(conversation))
        assert whole[-6:] == ["error", *GOOD_TURN]


async def test_watching_goes_on_after_redis_was_away(redis: RedisServer, path: Path) -> None:
    arena = RedisArena(redis)
    go_on = anyio.Event()
    async with server(arena, path, "a", [go_on, *ANSWER]) as a, server(arena, path, "b") as b:
        conversation = await a.conversation()
        first = await a.begin(conversation)
        async with asyncio.timeout(60), anyio.create_task_group() as group:
            seen: list[ConversationEvent] = []

            async def watch() -> None:
                seen.extend(await b.rest_of_turn(first))

            group.start_soon(watch)
            await anyio.wait_all_tasks_blocked()
            redis.kill()
            go_on.set()
            await a.rest_of_turn(first)
            redis.start()
        assert types(seen) == GOOD_TURN
