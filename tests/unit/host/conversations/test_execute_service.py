"""Turns as tasks of the server: begun, interrupted, ended, found again after a restart."""

from collections.abc import Sequence
from dataclasses import replace

import anyio
import pytest
from structlog.testing import capture_logs
from tests.unit.host.conversations.scripted import (
    ANSWER,
    LIMITS,
    NOW,
    ScriptedAgent,
    ScriptedContainers,
    ScriptedFiles,
    Step,
    World,
    types,
)

from hakoiri.host.containers.ports import AgentUnreachableError, UnknownTurnError
from hakoiri.host.conversations.model import Conversation, ConversationKind
from hakoiri.host.conversations.ports import (
    NoSuchConversationError,
    ServerStoppingError,
    StoreError,
    TurnRunningError,
)
from hakoiri.host.conversations.turn_history import RESTART_LIMIT, RESTARTED
from hakoiri.wire.events import (
    ContainerRecovered,
    ConversationEvent,
    EventData,
    Result,
    TextDelta,
    TurnStarted,
)

pytestmark = pytest.mark.anyio

SESSION = "0123-abcd"
GOOD_TURN = ["user_message", "turn_started", "text_delta", "file_synced", "result"]


def world_of(*scripts: Sequence[Step], files: ScriptedFiles | None = None) -> World:
    return World(containers=ScriptedContainers(agent=ScriptedAgent(*scripts)), files=files)


async def test_the_message_is_recorded_before_the_call_returns() -> None:
    world = World()
    async with world.service:
        conversation = await world.conversation()
        message = await world.service.start_turn(
            tenant="default", conversation_id=conversation.id, text="hello"
        )
        assert (message.type, message.id, message.turn) == ("user_message", 1, 1)
        assert await world.store.read(conversation_id=conversation.id, after=0, limit=9)


async def test_a_second_message_while_a_turn_runs_is_refused() -> None:
    go_on = anyio.Event()
    world = world_of([go_on, *ANSWER])
    async with world.service:
        conversation = await world.conversation()
        await world.service.start_turn(
            tenant="default", conversation_id=conversation.id, text="hello"
        )
        with pytest.raises(TurnRunningError):
            await world.service.start_turn(
                tenant="default", conversation_id=conversation.id, text="hello"
            )
        with pytest.raises(TurnRunningError):
            await world.service.delete(tenant="default", conversation_id=conversation.id)
        go_on.set()


async def test_of_many_messages_at_once_one_begins_and_none_closes_it() -> None:
    go_on = anyio.Event()
    world = world_of([go_on, *ANSWER])
    begun, refused = [], []

    async with world.service:
        conversation = await world.conversation()

        async def send() -> None:
            try:
                begun.append(
                    await world.service.start_turn(
                        tenant="default", conversation_id=conversation.id, text="hello"
                    )
                )
            except TurnRunningError as error:
                refused.append(error)

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(send)
        go_on.set()
        events = await world.rest_of_turn(begun[0])
    assert types(events) == GOOD_TURN
    assert len(refused) == 9


async def test_another_tenants_conversation_is_like_a_missing_one() -> None:
    world = World()
    async with world.service:
        conversation = await world.conversation(tenant="other")
        for name in (conversation.id, "c-missing"):
            with pytest.raises(NoSuchConversationError, match="there is no such conversation"):
                await world.service.start_turn(tenant="default", conversation_id=name, text="x")
            with pytest.raises(NoSuchConversationError, match="there is no such conversation"):
                await world.service.interrupt(tenant="default", conversation_id=name)
            with pytest.raises(NoSuchConversationError, match="there is no such conversation"):
                await world.service.delete(tenant="default", conversation_id=name)


async def test_leaving_the_service_ends_all_turns_with_their_files_saved() -> None:
    agent = ScriptedAgent([])
    agent.scripts = [[agent.interrupted, (1, Result(text="half an answer"))]]
    world = World(containers=ScriptedContainers(agent=agent))
    async with world.service:
        conversation = await world.conversation()
        await world.service.start_turn(
            tenant="default", conversation_id=conversation.id, text="hello"
        )
        await anyio.wait_all_tasks_blocked()
    events = await world.store.read(conversation_id=conversation.id, after=0, limit=99)
    assert types(events) == ["user_message", "turn_started", "file_synced", "error"]
    assert events[-1].data["code"] == "server-stopped"
    with pytest.raises(ServerStoppingError):
        await world.service.start_turn(
            tenant="default", conversation_id=conversation.id, text="hello"
        )


async def test_leaving_the_service_takes_bounded_time_and_still_tells_the_end() -> None:
    world = World(
        containers=ScriptedContainers(agent=ScriptedAgent([anyio.Event()])),
        files=ScriptedFiles(hold_save=anyio.Event()),
        limits=replace(LIMITS, interrupt_grace_s=0.01, shutdown_timeout_s=0.05),
    )
    append = world.store.append

    async def append_in_time(**given: object) -> object:
        await anyio.lowlevel.checkpoint()  # as a real database does
        return await append(**given)  # type: ignore[arg-type]

    world.store.append = append_in_time  # type: ignore[method-assign, assignment]
    async with world.service:
        conversation = await world.conversation()
        await world.service.start_turn(
            tenant="default", conversation_id=conversation.id, text="hello"
        )
        await anyio.wait_all_tasks_blocked()
    events = await world.store.read(conversation_id=conversation.id, after=0, limit=99)
    assert events[-1].data["code"] == "server-stopped"


async def test_a_container_that_starts_while_the_server_stops_is_cleaned_up() -> None:
    world = World(containers=ScriptedContainers(hold_claim=anyio.Event()))
    async with world.service:
        conversation = await world.conversation()
        await world.service.start_turn(
            tenant="default", conversation_id=conversation.id, text="hello"
        )
        await anyio.wait_all_tasks_blocked()
    events = await world.store.read(conversation_id=conversation.id, after=0, limit=99)
    assert events[-1].data["code"] == "server-stopped"
    assert world.containers.log == ["claim", "claim cleaned up", "withdraw server-stopped"]


async def begun(world: World, *events: EventData, agent_seq: int = 0) -> Conversation:
    """A conversation whose turn an earlier server left running, with what it had recorded."""
    conversation = await world.conversation()
    await world.store.begin_turn(conversation_id=conversation.id, text="hello", now=NOW)
    await world.store.append(
        conversation_id=conversation.id, turn=1, events=events, now=NOW, agent_seq=agent_seq
    )
    return conversation


async def end_of(world: World, conversation: Conversation) -> list[ConversationEvent]:
    return [event async for event in world.feed.follow(conversation.id, after=0, until_turn=1)]


STARTED = TurnStarted(container="k-1", generation=1, start="cold")
RECOVERED = ContainerRecovered(generation=2, reason="x", restored_seq=0)


async def test_a_turn_of_an_earlier_server_is_read_on_in_its_container() -> None:
    world = world_of([(3, TextDelta(text="on")), (4, Result(text="half, on"))])
    world.containers.start = "live"
    conversation = await begun(world, STARTED, TextDelta(text="half, "), agent_seq=2)
    async with world.service:
        assert await world.service.take_up_unfinished() == 1
        events = await end_of(world, conversation)
    assert types(events) == [
        "user_message",
        "turn_started",
        "text_delta",
        "notice",
        "text_delta",
        "file_synced",
        "result",
    ]
    assert [event.id for event in events] == list(range(1, 8))
    assert events[3].data["code"] == "turn-taken-up"
    assert world.containers.agent.resumed_after == [2]
    assert world.containers.agent.requests == [], "the message is not given again"
    assert world.files.saves[0]["event_number"] == 5


async def test_a_turn_whose_container_went_with_its_server_goes_on_in_another() -> None:
    world = World()
    world.containers.generation = 2
    conversation = await begun(world, STARTED, TextDelta(text="half"), agent_seq=2)
    async with world.service:
        await world.service.take_up_unfinished()
        events = await end_of(world, conversation)
    assert types(events)[3:] == [
        "notice",
        "container_recovered",
        "text_delta",
        "file_synced",
        "result",
    ]
    (request,) = world.containers.agent.requests
    assert (request.text, request.is_taken_up) == ("hello", True)
    assert (await world.store.get(tenant="default", conversation_id=conversation.id)).agent_seq == 1


@pytest.mark.parametrize(
    ("recorded", "is_taken_up"),
    [([STARTED], False), ([STARTED, RECOVERED], True)],
    ids=["its first container", "another one"],
)
async def test_a_turn_that_its_container_was_not_given_is_given_as_one_that_an_earlier_one_had(
    recorded: list[EventData], *, is_taken_up: bool
) -> None:
    """Else the message would be asked twice: the memory that was restored may hold it already."""
    world = world_of([UnknownTurnError("no such turn")], [(1, Result(text="hi"))])
    world.containers.start, world.containers.generation = "live", len(recorded)
    conversation = await begun(world, *recorded)
    async with world.service:
        await world.service.take_up_unfinished()
        events = await end_of(world, conversation)
    assert events[-1].type == "result"
    (request,) = world.containers.agent.requests
    assert (request.text, request.is_taken_up) == ("hello", is_taken_up)


async def test_a_turn_that_had_no_container_yet_begins() -> None:
    world = World()
    conversation = await begun(world)
    async with world.service:
        await world.service.take_up_unfinished()
        events = await end_of(world, conversation)
    assert types(events) == ["user_message", "notice", *GOOD_TURN[1:]]


async def test_what_an_earlier_server_lost_counts_too() -> None:
    lost = ContainerRecovered(generation=3, reason="x", restored_seq=0)
    world = world_of([AgentUnreachableError("cut")])
    world.containers.generation = 3
    world.containers.start = "live"
    conversation = await begun(world, STARTED, lost, lost)
    async with world.service:
        await world.service.take_up_unfinished()
        events = await end_of(world, conversation)
    assert types(events)[-2:] == ["file_synced", "error"]
    assert types(events).count("container_recovered") == 2
    assert events[-1].data["code"] == "container-lost"


async def test_a_turn_that_sees_server_after_server_go_is_closed() -> None:
    world = World()
    conversation = await begun(world, STARTED, *[RESTARTED] * RESTART_LIMIT)
    async with world.service:
        await world.service.take_up_unfinished()
        events = await end_of(world, conversation)
        assert events[-1].data["code"] == "server-restarted"
        assert types(await world.turn(conversation)) == GOOD_TURN
    assert world.ended == ["error", "result"]


async def test_a_chat_of_an_earlier_server_is_closed() -> None:
    world = World()
    conversation = await world.conversation(ConversationKind.CHAT)
    await world.store.begin_turn(conversation_id=conversation.id, text="hello", now=NOW)
    async with world.service:
        assert await world.service.take_up_unfinished() == 1
        assert await world.service.take_up_unfinished() == 0
        events = await end_of(world, conversation)
    assert types(events) == ["user_message", "error"]
    assert events[-1].data["code"] == "server-restarted"


async def test_turns_that_are_left_stay_as_they_are_for_the_next_server() -> None:
    world = world_of([(1, TextDelta(text="half")), anyio.Event()])
    world.leaves_turns = True
    async with world.service:
        conversation = await world.conversation()
        await world.service.start_turn(
            tenant="default", conversation_id=conversation.id, text="hello"
        )
        await anyio.wait_all_tasks_blocked()
    left = await world.store.get(tenant="default", conversation_id=conversation.id)
    assert left.running
    assert left.agent_seq == 1
    assert world.containers.log == ["claim"], "neither interrupted nor retired"
    assert world.files.saves == []


async def test_a_container_that_starts_while_the_server_leaves_is_given_up() -> None:
    world = World(containers=ScriptedContainers(hold_claim=anyio.Event()))
    world.leaves_turns = True
    with capture_logs() as told:
        async with world.service:
            conversation = await world.conversation()
            await world.service.start_turn(
                tenant="default", conversation_id=conversation.id, text="hello"
            )
            await anyio.wait_all_tasks_blocked()
    assert "turn failed" not in [line["event"] for line in told], "it goes on elsewhere"
    assert world.containers.log[:2] == ["claim", "claim cleaned up"]
    assert (await world.store.get(tenant="default", conversation_id=conversation.id)).running


async def test_a_database_that_comes_back_gets_the_end_of_the_turn() -> None:
    world = World()
    fail = [StoreError("disk full")] * 3
    append = world.store.append

    async def failing_append(**given: object) -> object:
        if fail:
            raise fail.pop()
        return await append(**given)  # type: ignore[arg-type]

    world.store.append = failing_append  # type: ignore[method-assign, assignment]
    async with world.service:
        events = await world.turn(await world.conversation())
    assert types(events) == ["user_message", "error"]
    assert events[-1].data["code"] == "record-failed"
    assert world.containers.log == ["claim", "retire record-failed"]
    assert world.ended == ["error"]


async def let_others_run() -> None:
    for _ in range(200):
        await anyio.lowlevel.checkpoint()


async def away_in_turn(world: World) -> Conversation:
    """Begin a turn in which the database goes away, and wait until its end cannot be recorded."""
    conversation = await world.conversation()

    async def break_store() -> None:
        world.store.broken = True

    world.containers.during_claim = break_store
    await world.service.start_turn(tenant="default", conversation_id=conversation.id, text="hello")
    await let_others_run()
    assert world.containers.log[-1] == "retire record-failed"
    world.containers.during_claim = None
    return conversation


async def test_the_end_of_a_turn_is_recorded_however_long_the_database_is_away() -> None:
    world = World()
    seen: list[str] = []
    async with world.service:
        conversation = await away_in_turn(world)

        async def watch() -> None:
            pages = world.feed.pages(conversation.id, after=0, idle_timeout_s=0.001)
            async for page in pages:
                seen.extend(types(page))
                if "error" in seen:
                    break
            await pages.aclose()

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            await let_others_run()
            world.store.broken = False
        assert seen == ["user_message", "error"], "whoever watches hears of it by itself"
        assert types(await world.turn(conversation)) == GOOD_TURN
    assert world.ended == ["error", "result"], "counted once, when it is recorded"


async def test_a_turn_whose_end_is_not_recorded_yet_is_still_its_servers() -> None:
    world = World()
    append = world.store.append
    is_away = [True]

    async def failing_append(**given: object) -> object:
        if is_away:
            raise StoreError("disk full")
        return await append(**given)  # type: ignore[arg-type]

    world.store.append = failing_append  # type: ignore[method-assign, assignment]
    async with world.service:
        conversation = await world.conversation()
        about = {"tenant": "default", "conversation_id": conversation.id}
        await world.service.start_turn(**about, text="hello")
        await let_others_run()
        with pytest.raises(TurnRunningError):
            await world.service.start_turn(**about, text="hello")
        with pytest.raises(TurnRunningError):
            await world.service.delete(**about)
        await world.service.interrupt(**about)
        assert await world.service.take_up_unfinished() == 1
        await let_others_run()
        is_away.clear()
        events = await end_of(world, conversation)
    assert types(events) == ["user_message", "error"]
    assert world.ended == ["error"]


async def test_a_server_that_ends_does_not_wait_for_a_database_that_is_away() -> None:
    world = World(limits=replace(LIMITS, shutdown_timeout_s=30))
    with anyio.fail_after(20):
        async with world.service:
            conversation = await away_in_turn(world)
    world.store.broken = False
    assert (await world.store.get(tenant="default", conversation_id=conversation.id)).running
    assert world.ended == []


async def test_a_turn_that_its_own_server_does_not_know_of_is_taken_up() -> None:
    """The database had begun it, but its answer was lost: the client was told that it failed."""
    world = World()
    begin_turn = world.store.begin_turn

    async def lose_answer(**given: object) -> object:
        await begin_turn(**given)  # type: ignore[arg-type]
        raise StoreError("the connection was lost")

    world.store.begin_turn = lose_answer  # type: ignore[method-assign, assignment]
    async with world.service:
        conversation = await world.conversation()
        with pytest.raises(StoreError):
            await world.service.start_turn(
                tenant="default", conversation_id=conversation.id, text="hello"
            )
        await world.service.take_up_unfinished()
        events = await end_of(world, conversation)
    assert types(events) == ["user_message", "notice", *GOOD_TURN[1:]]


async def test_events_whose_commit_was_not_answered_do_not_keep_the_turn_from_its_end() -> None:
    world = World()
    append = world.store.append
    is_lost = [True]

    async def lose_answer(**given: object) -> object:
        added = await append(**given)  # type: ignore[arg-type]
        if is_lost and types(added)[-1] == "text_delta":
            is_lost.clear()
            raise StoreError("the connection was lost")
        return added

    world.store.append = lose_answer  # type: ignore[method-assign, assignment]
    async with world.service:
        events = await world.turn(await world.conversation())
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert types(events)[:3] == GOOD_TURN[:3]
    assert events[-1].data["code"] == "record-failed"


async def test_deleting_forgets_the_conversation_ends_watching_and_gives_up_the_container() -> None:
    world = World()
    async with world.service:
        conversation = await world.conversation()
        await world.turn(conversation)
        seen: list[str] = []

        async def watch() -> None:
            async for event in world.feed.follow(conversation.id, after=0):
                seen.append(event.type)  # noqa: PERF401 - what was seen counts, not the end

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            await anyio.wait_all_tasks_blocked()
            await world.service.delete(tenant="default", conversation_id=conversation.id)
        assert seen == GOOD_TURN
    assert world.containers.log[-1] == "retire deleted"
    assert len(world.containers.gone) == 1
    with pytest.raises(NoSuchConversationError):
        await world.conversations.get(tenant="default", conversation_id=conversation.id)
