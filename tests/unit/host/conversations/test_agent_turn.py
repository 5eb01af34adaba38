"""One agent turn, from its claim to its last event, and every way in which it fails."""

from collections.abc import Sequence
from dataclasses import replace

import anyio
import pytest
from tests.unit.host.conversations.scripted import (
    ANSWER,
    LIMITS,
    Restored,
    ScriptedAgent,
    ScriptedContainers,
    ScriptedFiles,
    Step,
    World,
    types,
)

from hakoiri.host.containers.admission import LinePlace
from hakoiri.host.containers.ports import (
    AgentProtocolError,
    AgentUnreachableError,
    CapacityError,
    ClaimConflictError,
    EngineError,
    FilesUnsavedError,
    PolicyRefusedError,
)
from hakoiri.host.conversations.model import Conversation, ConversationKind
from hakoiri.host.conversations.ports import (
    NoTurnRunningError,
    StoreError,
)
from hakoiri.host.files.points import PointReason
from hakoiri.host.files.ports import DamagedError, FilesError, StaleGenerationError
from hakoiri.host.files.quota import DiskUse, TreeUse
from hakoiri.wire.agent import AgentOptions
from hakoiri.wire.events import Error, Result, SessionStarted, TextDelta, ToolResult, ToolUse
from hakoiri.wire.policy import Policy, Rule

pytestmark = pytest.mark.anyio

SESSION = "0123-abcd"
GOOD_TURN = ["user_message", "turn_started", "text_delta", "file_synced", "result"]


def world_of(*scripts: Sequence[Step], files: ScriptedFiles | None = None) -> World:
    return World(containers=ScriptedContainers(agent=ScriptedAgent(*scripts)), files=files)


async def test_a_turn_claims_works_saves_and_ends() -> None:
    world = World()
    async with world.service:
        conversation = await world.conversation()
        events = await world.turn(conversation)
        assert types(events) == GOOD_TURN
        assert events[1].data == {"container": "k-1", "generation": 1, "start": "cold"}
        assert events[-1].data["text"] == "hi"
        assert world.containers.log == ["claim", "release"]
        assert world.files.saves == [{"event_number": 3, "session_id": None}]
        assert world.files.reasons == [PointReason.TURN_END]
        request = world.containers.agent.requests[0]
        assert (request.text, request.turn_id) == ("hello", f"{conversation.id}-1")
        assert types(await world.turn(conversation)) == GOOD_TURN


async def test_the_session_is_remembered_and_resumed_but_not_logged() -> None:
    world = world_of([(1, SessionStarted(session_id=SESSION)), (2, Result(text=""))])
    async with world.service:
        conversation = await world.conversation()
        events = await world.turn(conversation)
        assert types(events) == ["user_message", "turn_started", "file_synced", "result"]
        assert world.files.saves[0]["session_id"] == SESSION
        world.files.restored = Restored(session_id=SESSION)
        await world.turn(conversation)
    first, second = world.containers.agent.requests
    assert (first.session_id, second.session_id) == (None, SESSION)


async def test_a_session_without_a_recovery_point_is_not_resumed_in_a_new_container() -> None:
    world = world_of([(1, SessionStarted(session_id=SESSION)), (2, Result(text=""))])
    async with world.service:
        conversation = await world.conversation()
        await world.turn(conversation)
        await world.turn(conversation)
    assert [item.session_id for item in world.containers.agent.requests] == [None, None]


async def test_the_session_of_a_container_that_was_replaced_is_not_remembered() -> None:
    world = world_of([(1, SessionStarted(session_id=SESSION)), (2, Result(text=""))])

    async def taken_over() -> None:
        now = world.store.workspaces[workspace_id]
        newer = world.containers.generation + 1
        world.store.workspaces[workspace_id] = replace(now, generation=newer)
        await world.store.set_session_id(workspace_id, "of-the-newer")

    world.containers.during_claim = taken_over
    async with world.service:
        conversation = await world.conversation()
        assert conversation.workspace_id is not None
        workspace_id = conversation.workspace_id
        await world.turn(conversation)
    assert await world.store.session_id(workspace_id) == "of-the-newer"


async def test_the_session_goes_on_in_a_live_container() -> None:
    world = world_of([(1, SessionStarted(session_id=SESSION)), (2, Result(text=""))])
    world.containers.start = "live"
    async with world.service:
        conversation = await world.conversation()
        await world.turn(conversation)
        await world.turn(conversation)
    assert [item.session_id for item in world.containers.agent.requests] == [None, SESSION]


async def test_events_are_acknowledged_after_they_are_recorded() -> None:
    world = World()
    recorded: list[int] = []
    async with world.service:
        conversation = await world.conversation()
        agent = world.containers.agent
        original = agent.acknowledge

        async def acknowledge(turn_id: str, seq: int) -> None:
            log = await world.store.read(conversation_id=conversation.id, after=0, limit=99)
            recorded.append(sum(event.type == "text_delta" for event in log))
            await original(turn_id, seq)

        agent.acknowledge = acknowledge  # type: ignore[method-assign]
        await world.turn(conversation)
    assert recorded[-1] == agent.acknowledged[-1] == 1


async def test_an_agent_that_takes_no_acknowledgement_still_finishes() -> None:
    world = World()
    world.containers.agent.acknowledge_failure = AgentUnreachableError("busy")
    async with world.service:
        assert types(await world.turn(await world.conversation())) == GOOD_TURN


async def test_a_broken_stream_is_resumed_after_the_last_recorded_event() -> None:
    world = world_of(
        [(1, TextDelta(text="a")), (2, TextDelta(text="b")), AgentUnreachableError("cut")],
        [],
        [(3, TextDelta(text="c")), (4, Result(text="abc"))],
    )
    async with world.service:
        events = await world.turn(await world.conversation())
    assert "".join(str(e.data["text"]) for e in events if e.type == "text_delta") == "abc"
    assert events[-1].type == "result"
    assert world.containers.agent.resumed_after == [2, 2]


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (CapacityError("32 are live"), "capacity"),
        (EngineError("the engine is away"), "container-start-failed"),
        (AgentUnreachableError("never healthy"), "container-start-failed"),
        (PolicyRefusedError("example.com is too wide"), "policy-refused"),
        (ClaimConflictError("claimed"), "workspace-busy"),
        (StoreError("disk full"), "record-failed"),
        (ZeroDivisionError("a secret"), "internal"),
    ],
)
async def test_a_container_that_cannot_be_had_is_one_error(failure: Exception, code: str) -> None:
    world = World(containers=ScriptedContainers(claim_failure=failure))
    async with world.service:
        conversation = await world.conversation()
        events = await world.turn(conversation)
        assert types(events) == ["user_message", "error"]
        assert events[-1].data["code"] == code
        assert ("a secret" in str(events[-1].data["text"])) is False
        world.containers.claim_failure = None
        assert types(await world.turn(conversation)) == GOOD_TURN
    assert world.containers.log[1] == f"withdraw {code}"


async def test_a_dead_container_with_the_only_copy_of_files_is_left_to_be_saved() -> None:
    world = World(containers=ScriptedContainers(claim_failure=FilesUnsavedError("w-1")))
    async with world.service:
        events = await world.turn(await world.conversation())
    assert events[-1].data["code"] == "files-not-saved"
    assert world.containers.log == ["claim"], "it is not retired"


@pytest.mark.parametrize(
    ("failure", "code", "retryable"),
    [
        (DamagedError("blob ab… is damaged"), "files-damaged", False),
        (FilesError("the store does not answer"), "files-unavailable", True),
    ],
)
async def test_files_that_cannot_be_restored_are_one_error_and_nothing_is_saved_over_them(
    failure: FilesError,
    code: str,
    retryable: bool,  # noqa: FBT001 - parametrized
) -> None:
    world = World(files=ScriptedFiles(restore_failure=failure))
    async with world.service:
        events = await world.turn(await world.conversation())
    assert events[-1].data["code"] == code
    assert events[-1].data["retryable"] == retryable
    assert str(failure) in str(events[-1].data["text"])
    assert world.files.saves == []
    assert world.containers.log == ["claim", f"withdraw {code}"]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ([AgentProtocolError("a line is longer than 8388608 bytes")], "agent-protocol"),
        ([(2, TextDelta(text="x"))], "agent-protocol"),
        ([(1, TextDelta(text="x")), (1, TextDelta(text="x"))], "agent-protocol"),
        ([(1, TextDelta(text="x")), (3, Result(text="x"))], "agent-protocol"),
        ([(1, TextDelta.model_construct(text="\ud800"))], "agent-protocol"),
        ([ZeroDivisionError("a fault of ours")], "internal"),
    ],
)
async def test_a_turn_that_breaks_off_ends_in_one_error_without_its_container(
    script: Sequence[Step], code: str
) -> None:
    world = world_of(script)
    async with world.service:
        conversation = await world.conversation()
        events = await world.turn(conversation)
        assert [item for item in types(events) if item in ("error", "result")] == ["error"]
        assert events[-1].data["code"] == code
        assert world.containers.log == ["claim", f"retire {code}"]
        assert types(events)[-2] == "file_synced"
        world.containers.agent.scripts = [ANSWER]
        assert types(await world.turn(conversation)) == GOOD_TURN


async def test_what_arrived_before_the_agent_lied_is_kept() -> None:
    world = world_of([(1, TextDelta(text="kept")), (7, TextDelta(text="lie"))])
    async with world.service:
        events = await world.turn(await world.conversation())
    assert [e.data["text"] for e in events if e.type == "text_delta"] == ["kept"]


async def test_an_agents_own_error_keeps_its_container() -> None:
    world = world_of([(1, Error(code="model-overloaded", text="529", retryable=True))])
    async with world.service:
        events = await world.turn(await world.conversation())
    assert events[-1].data["code"] == "model-overloaded"
    assert world.containers.log == ["claim", "release"]


async def test_what_an_agent_says_after_its_end_is_not_heard() -> None:
    world = world_of([(1, Result(text="")), (2, TextDelta(text="late")), (3, Result(text=""))])
    async with world.service:
        events = await world.turn(await world.conversation())
    assert types(events)[-2:] == ["file_synced", "result"]
    assert "text_delta" not in types(events)


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (replace(LIMITS, silence_timeout_s=0.01), "agent-silent"),
        (replace(LIMITS, timeout_s=0.01), "turn-timeout"),
    ],
)
async def test_an_agent_that_never_answers_runs_into_the_limits(limits: object, code: str) -> None:
    assert isinstance(limits, type(LIMITS))
    world = World(
        containers=ScriptedContainers(agent=ScriptedAgent([anyio.Event()])), limits=limits
    )
    async with world.service:
        events = await world.turn(await world.conversation())
    assert types(events) == ["user_message", "turn_started", "file_synced", "error"]
    assert events[-1].data["code"] == code
    assert world.containers.log == ["claim", f"retire {code}"]


async def test_an_agent_that_floods_costs_bounded_memory() -> None:
    """The agent gets no further ahead of the commits than the inbox holds."""
    sent = 0

    def count() -> None:
        nonlocal sent
        sent += 1

    steps: list[Step] = []
    for number in range(1, 65):
        steps += [(number, TextDelta(text="x" * 900_000)), count]
    steps.append((65, Result(text="")))
    world = world_of(steps)
    ahead: list[int] = []
    recorded = 0
    append = world.store.append

    async def slow_append(**given: object) -> object:
        nonlocal recorded
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        ahead.append(sent - recorded)
        events = given["events"]
        assert isinstance(events, Sequence)
        recorded += len(events)
        return await append(**given)  # type: ignore[arg-type]

    world.store.append = slow_append  # type: ignore[method-assign, assignment]
    async with world.service:
        events = await world.turn(await world.conversation())
    assert events[-1].type == "result"
    assert max(ahead) < 8


@pytest.mark.parametrize("failure", [FilesError("disk full"), StaleGenerationError("2 is live")])
async def test_a_container_that_holds_the_only_copy_of_files_is_not_let_go_until_they_are_saved(
    failure: Exception,
) -> None:
    world = World(files=ScriptedFiles(save_failure=failure))
    async with world.service:
        events = await world.turn(await world.conversation())
    assert types(events) == ["user_message", "turn_started", "text_delta", "notice", "result"]
    assert events[-2].data["code"] == "files-not-saved"
    assert str(failure) in str(events[-2].data["text"])
    assert world.containers.log == ["claim", "release unsaved"]


async def test_a_turn_that_leaves_little_room_ends_with_a_notice_after_saving() -> None:
    full = TreeUse(
        workspace=DiskUse(used_bytes=10, quota_bytes=4096, used_inodes=91, quota_inodes=100),
        home=DiskUse(used_bytes=0, quota_bytes=4096, used_inodes=0, quota_inodes=16),
    )
    world = World(files=ScriptedFiles(use=full))
    async with world.service:
        events = await world.turn(await world.conversation())
    assert types(events)[-3:] == ["file_synced", "notice", "result"]
    assert events[-2].data["code"] == "workspace-nearly-full"
    assert "91 % full" in str(events[-2].data["text"])
    assert world.containers.log == ["claim", "release"]


async def test_a_disk_that_cannot_be_asked_changes_nothing_of_a_turns_end() -> None:
    world = World(files=ScriptedFiles(use=FilesError("gone")))
    async with world.service:
        events = await world.turn(await world.conversation())
    assert types(events)[-2:] == ["file_synced", "result"]


async def test_a_later_turn_that_saves_lets_the_container_go() -> None:
    world = World(files=ScriptedFiles(save_failure=FilesError("disk full")))
    async with world.service:
        conversation = await world.conversation()
        await world.turn(conversation)
        world.files.save_failure = None
        events = await world.turn(conversation)
    assert types(events)[-2:] == ["file_synced", "result"]
    assert world.containers.log == ["claim", "release unsaved", "claim", "release"]


async def test_saving_that_never_ends_is_given_up() -> None:
    world = World(
        files=ScriptedFiles(hold_save=anyio.Event()), limits=replace(LIMITS, save_timeout_s=0.01)
    )
    async with world.service:
        events = await world.turn(await world.conversation())
    assert types(events)[-2:] == ["notice", "result"]


async def test_a_container_that_cannot_be_released_changes_nothing_for_the_reader() -> None:
    world = World(containers=ScriptedContainers(release_failure=EngineError("away")))
    async with world.service:
        assert types(await world.turn(await world.conversation())) == GOOD_TURN


async def test_an_interrupted_agent_ends_its_turn_itself() -> None:
    agent = ScriptedAgent([])
    agent.scripts = [[agent.interrupted, (1, Error(code="interrupted", text="stopped"))]]
    world = World(containers=ScriptedContainers(agent=agent))
    async with world.service:
        conversation = await world.conversation()
        message = await world.service.start_turn(
            tenant="default", conversation_id=conversation.id, text="hello"
        )
        await anyio.wait_all_tasks_blocked()
        await world.service.interrupt(tenant="default", conversation_id=conversation.id)
        events = await world.rest_of_turn(message)
        assert events[-1].data["text"] == "stopped"
        assert world.containers.log == ["claim", "release"]
        with pytest.raises(NoTurnRunningError):
            await world.service.interrupt(tenant="default", conversation_id=conversation.id)


async def test_an_agent_that_ignores_the_interrupt_loses_its_container() -> None:
    world = World(
        containers=ScriptedContainers(agent=ScriptedAgent([anyio.Event()])),
        limits=replace(LIMITS, interrupt_grace_s=0.01),
    )
    async with world.service:
        conversation = await world.conversation()
        message = await world.service.start_turn(
            tenant="default", conversation_id=conversation.id, text="hello"
        )
        await anyio.wait_all_tasks_blocked()
        await world.service.interrupt(tenant="default", conversation_id=conversation.id)
        events = await world.rest_of_turn(message)
    assert events[-1].data["code"] == "interrupted"
    assert types(events)[-2] == "file_synced"
    assert world.containers.log == ["claim", "retire interrupted"]


async def test_a_turn_that_waits_for_its_container_can_be_interrupted() -> None:
    world = World(containers=ScriptedContainers(hold_claim=anyio.Event()))
    async with world.service:
        conversation = await world.conversation()
        message = await world.service.start_turn(
            tenant="default", conversation_id=conversation.id, text="hello"
        )
        await anyio.wait_all_tasks_blocked()
        await world.service.interrupt(tenant="default", conversation_id=conversation.id)
        events = await world.rest_of_turn(message)
    assert types(events) == ["user_message", "error"]
    assert events[-1].data["code"] == "interrupted"
    assert world.containers.log == ["claim", "claim cleaned up", "withdraw interrupted"]


async def test_a_container_that_cannot_be_retired_in_time_is_still_cleaned_up() -> None:
    containers = ScriptedContainers(
        agent=ScriptedAgent([AgentProtocolError("lie")]), hold_retire=anyio.Event()
    )
    world = World(containers=containers, limits=replace(LIMITS, retire_timeout_s=0.01))
    async with world.service:
        events = await world.turn(await world.conversation())
    assert events[-1].data["code"] == "agent-protocol"
    assert world.containers.log == ["claim", "retire agent-protocol", "retire cleaned up"]


async def test_a_policy_that_changes_while_the_container_starts_counts() -> None:
    world = World()
    wider = Policy(rules=[Rule(host="example.com")])

    async def change() -> None:
        await world.policy_store.set_policy(tenant="default", name="default", policy=wider)

    world.containers.during_claim = change
    async with world.service:
        conversation = await world.conversation()
        await world.turn(conversation)
    assert world.containers.log[1] == f"rebind {conversation.workspace_id}"
    assert world.containers.policies[-1] == wider


CALL = ToolUse(tool_use_id="t", name="Bash", input={})
AT_ONCE = replace(LIMITS, sync_quiet_s=0, sync_longest_wait_s=0)


async def test_files_are_saved_while_the_turn_runs_and_once_more_at_its_end() -> None:
    go_on = anyio.Event()
    agent = ScriptedAgent(
        [
            (1, SessionStarted(session_id=SESSION)),
            (2, CALL),
            (3, ToolResult(tool_use_id="t", text="ok")),
            go_on,
            (4, TextDelta(text="so")),
            (5, Result(text="done")),
        ]
    )
    world = World(containers=ScriptedContainers(agent=agent), limits=AT_ONCE)
    async with world.service:
        conversation = await world.conversation()
        first = await world.service.start_turn(
            tenant=conversation.tenant, conversation_id=conversation.id, text="hello"
        )
        events = []
        async for event in world.feed.follow(conversation.id, after=0, until_turn=first.turn):
            events.append(event)
            if event.type == "file_synced":
                go_on.set()
    kinds = types(events)
    result = kinds.index("tool_result")
    assert "file_synced" in kinds[result : kinds.index("text_delta")]
    assert kinds[-2:] == ["file_synced", "result"]
    numbers = [save["event_number"] for save in world.files.saves]
    assert events[result].id in numbers
    assert numbers[-1] == events[-3].id
    assert {save["session_id"] for save in world.files.saves} == {SESSION}
    assert set(world.files.reasons[:-1]) == {PointReason.RUNNING}
    assert world.files.reasons[-1] is PointReason.TURN_END


async def test_a_save_that_fails_while_the_turn_runs_is_a_notice_and_the_turn_goes_on() -> None:
    go_on = anyio.Event()
    agent = ScriptedAgent(
        [(1, CALL), (2, ToolResult(tool_use_id="t", text="")), go_on, (3, Result(text="done"))]
    )
    files = ScriptedFiles(save_failure=FilesError("the store is away"))
    world = World(containers=ScriptedContainers(agent=agent), files=files, limits=AT_ONCE)
    async with world.service:
        conversation = await world.conversation()
        first = await world.service.start_turn(
            tenant=conversation.tenant, conversation_id=conversation.id, text="hello"
        )
        events = []
        async for event in world.feed.follow(conversation.id, after=0, until_turn=first.turn):
            events.append(event)
            if event.type == "notice":
                files.save_failure = None
                go_on.set()
    assert types(events)[-1] == "result"
    assert "file_synced" in types(events)
    assert [event.data["code"] for event in events if event.type == "notice"] == ["files-not-saved"]


async def test_a_workspace_with_files_to_restore_is_claimed_as_one() -> None:
    world = World()
    async with world.service:
        conversation = await world.conversation()
        await world.turn(conversation)
        world.files.restored = Restored(session_id=SESSION)
        await world.turn(conversation)
    assert world.containers.asked == [("runc", False), ("runc", True)]


async def test_the_conversations_runtime_reaches_the_claim() -> None:
    world = World(runtimes=("runc", "runsc"))
    async with world.service:
        await world.turn(await world.conversation())
        await world.turn(await gvisor(world))
    assert [runtime for runtime, _ in world.containers.asked] == ["runc", "runsc"]


async def gvisor(world: World) -> Conversation:
    return await world.conversations.create(
        tenant="default",
        kind=ConversationKind.AGENT,
        policy="default",
        options=AgentOptions(),
        runtime="runsc",
    )


async def test_a_runtime_that_the_policy_takes_back_ends_the_turn_without_a_container() -> None:
    world = World(runtimes=("runc", "runsc"))
    async with world.service:
        conversation = await gvisor(world)
        await world.policy_store.set_policy(
            tenant="default", name="default", policy=Policy(runtimes=["runc"])
        )
        events = await world.turn(conversation)
    assert events[-1].data["code"] == "runtime-not-allowed"
    assert "the policy does not allow runsc" in str(events[-1].data["text"])
    assert world.containers.asked == []


PLACES = (LinePlace(2, 2, "places", 60), LinePlace(1, 1, "places", 60))


async def test_a_turn_that_waits_says_where_it_stands_before_it_starts() -> None:
    world = World(containers=ScriptedContainers(places=PLACES[:1]))
    async with world.service:
        events = await world.turn(await world.conversation())
    assert types(events) == ["user_message", "queued", *GOOD_TURN[1:]]
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert events[1].data == {"position": 2, "waiting": 2, "reason": "places", "limit_s": 60}
    assert world.containers.resumed == [False]


async def test_interrupting_a_turn_that_stands_in_the_line_ends_it_at_once() -> None:
    containers = ScriptedContainers(places=PLACES[:1], hold_claim=anyio.Event())
    world = World(containers=containers)
    async with world.service:
        conversation = await world.conversation()
        message = await world.service.start_turn(
            tenant="default", conversation_id=conversation.id, text="hello"
        )
        await anyio.wait_all_tasks_blocked()
        await world.service.interrupt(tenant="default", conversation_id=conversation.id)
        events = await world.rest_of_turn(message)
    assert types(events) == ["user_message", "queued", "error"]
    assert events[-1].data["code"] == "interrupted"


async def test_a_server_that_stops_ends_a_turn_that_stands_in_the_line() -> None:
    containers = ScriptedContainers(places=PLACES[:1], hold_claim=anyio.Event())
    world = World(containers=containers)
    async with world.service:
        conversation = await world.conversation()
        message = await world.service.start_turn(
            tenant="default", conversation_id=conversation.id, text="hello"
        )
        await anyio.wait_all_tasks_blocked()
    events = await world.rest_of_turn(message)
    assert types(events) == ["user_message", "queued", "error"]
    assert events[-1].data["code"] == "server-stopped"


async def test_a_turn_that_waited_in_vain_says_when_to_come_again() -> None:
    failure = CapacityError("none became free; try again in 60 s", retry_after_s=60)
    world = World(containers=ScriptedContainers(places=PLACES, claim_failure=failure))
    async with world.service:
        events = await world.turn(await world.conversation())
    assert types(events)[-1] == "error"
    assert (events[-1].data["code"], events[-1].data["retryable"]) == ("capacity", True)
    assert "try again in 60 s" in str(events[-1].data["text"])


async def test_a_turn_that_lost_its_container_comes_before_others() -> None:
    world = world_of([AgentUnreachableError("gone")], [AgentUnreachableError("gone")])
    world.containers.agent.scripts = [*[[AgentUnreachableError("gone")]] * 4, ANSWER]
    async with world.service:
        events = await world.turn(await world.conversation())
    assert "container_recovered" in types(events)
    assert world.containers.resumed == [False, True]
    assert len(world.containers.replaced) == 1
