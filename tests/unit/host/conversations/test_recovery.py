"""A turn whose container is lost goes on in another, twice, and loses nothing that can be kept."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import anyio
import pytest
from tests.unit.host.conversations.scripted import (
    ANSWER,
    LIMITS,
    NOW,
    Restored,
    ScriptedAgent,
    ScriptedContainers,
    ScriptedFiles,
    Step,
    World,
    types,
)

from hakoiri.host.containers.ports import (
    AgentProtocolError,
    AgentUnreachableError,
    CapacityError,
    EngineError,
    PolicyRefusedError,
)
from hakoiri.host.conversations.failures import AgentSilentError
from hakoiri.host.conversations.model import TurnLimits
from hakoiri.host.conversations.ports import StoreError
from hakoiri.host.conversations.recovery import (
    loss_in_ending,
    loss_in_failure,
    loss_with_server,
    may_pass,
)
from hakoiri.host.conversations.turn_history import TurnHistory
from hakoiri.host.files.points import PointReason
from hakoiri.host.files.ports import FilesError
from hakoiri.wire.events import (
    ConversationEvent,
    Error,
    Result,
    SessionStarted,
    TextDelta,
    UserMessage,
)

CUT = AgentUnreachableError("cut")
LOST: tuple[Step, ...] = (CUT,)
SESSION = "0123-abcd"


def world_of(
    *scripts: Sequence[Step], files: ScriptedFiles | None = None, limits: TurnLimits = LIMITS
) -> World:
    agent = ScriptedAgent(*scripts)
    return World(containers=ScriptedContainers(agent=agent), files=files, limits=limits)


def lost(*before: Step) -> list[Sequence[Step]]:
    """What a container plays that says something and dies: three reconnections find nobody."""
    return [[*before, CUT], LOST, LOST, LOST]


async def until(holds: Callable[[], bool]) -> None:
    """Let the turn go on until something holds."""
    for _ in range(5000):
        if holds():
            return
        await anyio.sleep(0.001)
    raise AssertionError("it never came to that")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (CUT, "container-lost"),
        (ExceptionGroup("", [CUT]), "container-lost"),
        (AgentProtocolError("a line is too long"), None),
        (AgentSilentError("nothing for 600 s"), None),
        (StoreError("disk full"), None),
        (ZeroDivisionError(), None),
    ],
)
def test_only_a_lost_container_is_replaced(error: Exception, kind: str | None) -> None:
    loss = loss_in_failure(error, why="out of memory")
    assert (loss.kind if loss else None) == kind
    assert loss is None or loss.reason == "cut (out of memory)"


@pytest.mark.parametrize(
    ("last", "is_loss"),
    [
        (Error(code="agent-killed", text="code -9"), True),
        (Error(code="interrupted", text="The turn was interrupted."), True),
        (Error(code="agent-failed", text="code 1"), False),
        (Result(text=""), False),
    ],
)
def test_an_agent_whose_process_was_killed_is_lost(last: Result | Error, is_loss: bool) -> None:  # noqa: FBT001 - parametrized
    assert (loss_in_ending(last) is not None) == is_loss


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (EngineError("away"), True),
        (CUT, True),
        (CapacityError("32 are live"), False),
        (PolicyRefusedError("too wide"), False),
        (StoreError("disk full"), False),
        (FilesError("damaged"), False),
    ],
)
def test_what_is_started_again_is_waited_for(error: Exception, passes: bool) -> None:  # noqa: FBT001 - parametrized
    assert may_pass(error) == passes


@pytest.mark.parametrize(
    ("was_given_up", "kind", "lost"), [(False, "server-restarted", 0), (True, "server-lost", 1)]
)
def test_what_was_on_a_host_that_is_gone_is_told_as_lost(
    was_given_up: bool,  # noqa: FBT001 - parametrized
    kind: str,
    lost: int,
) -> None:
    message = ConversationEvent.of(
        number=1, time=NOW, conversation_id="c", turn=1, data=UserMessage(text="x")
    )
    history = TurnHistory(message, 4, 0, 1, 0, was_given_up=was_given_up)
    loss, lost_paths = loss_with_server(history)
    assert (loss.kind, len(lost_paths)) == (kind, lost)


@pytest.mark.anyio
async def test_a_turn_whose_container_is_lost_goes_on_in_another() -> None:
    world = world_of(
        *lost((1, SessionStarted(session_id=SESSION)), (2, TextDelta(text="half"))), ANSWER
    )
    world.files.restored = Restored(session_id=SESSION, event_number=3)
    async with world.service:
        conversation = await world.conversation()
        events = await world.turn(conversation)
    assert types(events) == [
        "user_message",
        "turn_started",
        "text_delta",
        "file_synced",
        "container_recovered",
        "text_delta",
        "file_synced",
        "result",
    ]
    assert [event.id for event in events] == list(range(1, 9))
    assert events[4].data == {
        "generation": 2,
        "reason": "cut (out of memory)",
        "restored_seq": 3,
        "lost_paths": [],
    }
    assert world.containers.log == ["claim", "halt", "retire container-lost", "claim", "release"]
    assert world.containers.meant == ["k-1", "k-1"], "the one that was lost, and no other"
    first, second = world.containers.agent.requests
    assert (first.is_taken_up, second.is_taken_up) == (False, True)
    assert (first.text, first.turn_id) == (second.text, second.turn_id)
    assert second.session_id == SESSION
    assert world.files.saves[0]["session_id"] == SESSION, "saved before it is given up"
    assert world.files.reasons == [PointReason.CONTAINER_LOST, PointReason.TURN_END]


@pytest.mark.anyio
async def test_the_third_loss_of_a_turn_is_its_error() -> None:
    world = world_of(LOST)
    async with world.service:
        conversation = await world.conversation()
        events = await world.turn(conversation)
        assert types(events).count("container_recovered") == 2
        assert types(events)[-2:] == ["file_synced", "error"]
        assert events[-1].data["code"] == "container-lost"
        assert "3 times" in str(events[-1].data["text"])
        assert "out of memory" in str(events[-1].data["text"])
        assert world.containers.log[-1] == "retire container-lost"
        assert types(events).count("user_message") == 1
        world.containers.agent.scripts = [ANSWER]
        assert (await world.turn(conversation))[-1].type == "result"


@pytest.mark.anyio
async def test_an_agent_that_was_killed_in_its_container_gets_another_container() -> None:
    world = world_of([(1, Error(code="agent-killed", text="code -9", retryable=True))], ANSWER)
    async with world.service:
        events = await world.turn(await world.conversation())
    assert events[-1].type == "result"
    (recovered,) = [event for event in events if event.type == "container_recovered"]
    assert recovered.data["reason"] == "code -9"


@pytest.mark.anyio
async def test_what_could_not_be_saved_is_named() -> None:
    files = ScriptedFiles(save_failure=FilesError("store away"))
    world = world_of(*lost(), ANSWER, files=files, limits=replace(LIMITS, recovery_timeout_s=0))
    async with world.service:
        events = await world.turn(await world.conversation())
    (recovered,) = [event for event in events if event.type == "container_recovered"]
    assert recovered.data["lost_paths"] == ["workspace/changed"]


@pytest.mark.anyio
async def test_a_store_that_is_away_for_a_while_is_waited_for_and_nothing_is_lost() -> None:
    files = ScriptedFiles(save_failures=[FilesError("away"), FilesError("away")])
    world = world_of(*lost(), ANSWER, files=files)
    async with world.service:
        events = await world.turn(await world.conversation())
    kinds = [kind for kind in types(events) if kind != "text_delta"]
    assert kinds[1:4] == ["turn_started", "notice", "file_synced"], "the failure is told once"
    (recovered,) = [event for event in events if event.type == "container_recovered"]
    assert recovered.data["lost_paths"] == []


@pytest.mark.anyio
@pytest.mark.parametrize("halts", [True, False])
async def test_what_is_left_of_the_last_container_stays_until_it_is_saved(
    halts: bool,  # noqa: FBT001 - parametrized
) -> None:
    files = ScriptedFiles(save_failure=FilesError("store away"))
    world = world_of([AgentProtocolError("it lies")], files=files)
    world.containers.halt_failures = [None if halts else EngineError("away")]
    async with world.service:
        events = await world.turn(await world.conversation())
    assert types(events)[-2:] == ["notice", "error"]
    assert world.containers.log == ["claim", "halt", "release unsaved"]


@pytest.mark.anyio
async def test_what_a_save_leaves_out_is_lost_with_the_container() -> None:
    files = ScriptedFiles(
        report=replace(ScriptedFiles().report, left_out=["workspace/s: a socket"])
    )
    world = world_of(*lost(), ANSWER, files=files)
    async with world.service:
        events = await world.turn(await world.conversation())
    (recovered,) = [event for event in events if event.type == "container_recovered"]
    assert recovered.data["lost_paths"] == ["workspace/s: a socket"]


@pytest.mark.anyio
async def test_an_engine_that_is_away_is_waited_for_before_files_are_read() -> None:
    world = world_of(*lost(), ANSWER)
    world.containers.halt_failures = [EngineError("away"), EngineError("away"), None]
    async with world.service:
        events = await world.turn(await world.conversation())
    assert events[-1].type == "result"
    assert world.containers.log[:4] == ["claim", "halt", "halt", "halt"]


@pytest.mark.anyio
async def test_an_engine_that_stays_away_is_one_error_and_the_files_are_still_saved() -> None:
    world = World(
        containers=ScriptedContainers(agent=ScriptedAgent(LOST)),
        limits=replace(LIMITS, recovery_timeout_s=0),
    )
    world.containers.halt_failures = [EngineError("away")]
    async with world.service:
        events = await world.turn(await world.conversation())
    assert types(events) == ["user_message", "turn_started", "file_synced", "error"]
    assert events[-1].data["code"] == "container-start-failed"


@pytest.mark.anyio
async def test_a_turn_that_waits_for_another_container_can_be_interrupted() -> None:
    world = world_of(LOST)
    world.containers.hold_retire = anyio.Event()
    async with world.service:
        conversation = await world.conversation()
        message = await world.service.start_turn(
            tenant="default", conversation_id=conversation.id, text="hello"
        )
        await anyio.wait_all_tasks_blocked()
        assert world.containers.log[-1] == "retire container-lost"
        await world.service.interrupt(tenant="default", conversation_id=conversation.id)
        world.containers.hold_retire.set()
        events = await world.rest_of_turn(message)
    assert events[-1].data["code"] == "interrupted"
    assert "container_recovered" not in types(events)


@pytest.mark.anyio
async def test_all_attempts_of_a_turn_share_its_time() -> None:
    world = World(
        containers=ScriptedContainers(agent=ScriptedAgent(*lost(), [anyio.Event()])),
        limits=replace(LIMITS, timeout_s=0.05),
    )
    async with world.service:
        events = await world.turn(await world.conversation())
    assert events[-1].data["code"] == "turn-timeout"


@pytest.mark.anyio
async def test_what_a_lost_container_holds_stays_though_its_replacement_is_given_up() -> None:
    files = ScriptedFiles(save_failure=FilesError("store away"))
    world = world_of(LOST, files=files, limits=replace(LIMITS, recovery_timeout_s=0))
    world.containers.hold_retire = anyio.Event()
    async with world.service:
        conversation = await world.conversation()
        message = await world.service.start_turn(
            tenant="default", conversation_id=conversation.id, text="hello"
        )
        await until(lambda: world.containers.log[-1:] == ["retire container-lost"])
        world.containers.container_id = "k-2"  # what is live by now is somebody else's
        await world.service.interrupt(tenant="default", conversation_id=conversation.id)
        await until(lambda: "retire cleaned up" in world.containers.log)
        world.containers.hold_retire.set()
        await world.rest_of_turn(message)
    assert world.containers.log[2:] == [
        "retire container-lost",
        "retire cleaned up",
        "halt",
        "release unsaved",
        "withdraw interrupted",
    ]
    assert world.containers.meant[:3] == ["k-1"] * 3
