import anyio
import pytest
from tests.unit.host.conversations.scripted import SAID, World

from hakoiri.host.containers.ports import (
    AgentUnreachableError,
    CapacityError,
    StoppingError,
    TooManyCommandsError,
)
from hakoiri.host.conversations.ports import NoSuchPolicyError
from hakoiri.wire.command import CommandExit, RunCommand
from hakoiri.wire.command_limits import COMMANDS_AT_ONCE

pytestmark = pytest.mark.anyio

COMMAND = RunCommand(argv=["true"], timeout_s=60, output_limit_bytes=100)


async def finished(world: World, workspace_id: str) -> CommandExit:
    workspace = await world.workspace_store.workspace(tenant="default", workspace_id=workspace_id)
    running = await world.workspaces.commands.start(workspace, COMMAND)
    try:
        frames = [frame async for frame in running.frames(idle_s=60)]
    finally:
        await running.end()
    assert isinstance(frames[-1], CommandExit)
    return frames[-1]


async def test_a_first_command_starts_a_container_and_a_second_joins_it_unasked() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace = await world.workspace()
        assert (await finished(world, workspace.id)).code == 0
        assert (await finished(world, workspace.id)).code == 0
    assert world.containers.log.count("claim for a command") == 1
    assert len(world.containers.agent.asked) == len(world.containers.agent.ended) == 2


async def test_it_is_held_while_it_runs_then_saved_and_let_go() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace = await world.workspace()
        running = await world.workspaces.commands.start(workspace, COMMAND)
        assert world.containers.holders(workspace.id) == frozenset({"command 1"})
        await running.end()
        assert world.containers.holders(workspace.id) == frozenset({"save 1 k-1"})
    assert len(world.files.saves) == 1
    assert world.containers.holders(workspace.id) == frozenset()


async def test_one_too_many_is_refused_and_an_ended_one_makes_room() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace = await world.workspace()
        commands = world.workspaces.commands
        running = [await commands.start(workspace, COMMAND) for _ in range(COMMANDS_AT_ONCE)]
        with pytest.raises(TooManyCommandsError):
            await commands.start(workspace, COMMAND)
        other = await world.workspace()
        await (await commands.start(other, COMMAND)).end()
        await running.pop().end()
        running.append(await commands.start(workspace, COMMAND))
        for one in running:
            await one.end()
        assert not commands._running


async def test_a_container_that_was_lost_is_replaced_and_the_command_run_there() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace = await world.workspace()
        await finished(world, workspace.id)
        world.containers.agent.command_failures = [AgentUnreachableError("gone")]

        async def replace() -> None:
            world.containers.container_id = "k-2"

        world.containers.during_claim = replace
        assert (await finished(world, workspace.id)).code == 0
        assert world.containers.log.count("claim for a command") == 2


async def test_a_container_that_is_healthy_does_not_get_the_command_twice() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace = await world.workspace()
        await finished(world, workspace.id)
        world.containers.agent.command_failures = [AgentUnreachableError("a hiccup")]
        with pytest.raises(AgentUnreachableError, match="a hiccup"):
            await finished(world, workspace.id)
        assert len(world.containers.agent.asked) == 2
        assert not world.workspaces.commands._running


@pytest.mark.parametrize("failure", [CapacityError("full"), NoSuchPolicyError("none")])
async def test_a_start_that_fails_holds_nothing(failure: Exception) -> None:
    world = World()
    world.containers.claim_failure = failure
    async with world.workspaces.saver:
        workspace = await world.workspace()
        with pytest.raises(type(failure)):
            await finished(world, workspace.id)
        assert not world.workspaces.commands._running
        assert world.containers.log[-1] == "release of a command"


async def test_an_agent_that_lies_loses_its_container() -> None:
    world = World()
    world.containers.agent.commands = [(9, CommandExit(code=0))]
    async with world.workspaces.saver:
        workspace = await world.workspace()
        with pytest.raises(Exception, match="frame 9 came"):
            await finished(world, workspace.id)
    assert world.containers.log[-2:] == ["halt", "release of a command"]
    assert world.containers.meant == ["k-1"], "the one it ran in, whatever is live by now"
    assert world.files.saves == []


async def test_a_command_may_run_while_a_turn_does() -> None:
    world = World()
    world.containers.agent.commands = SAID
    async with world.workspaces.saver, world.service:
        conversation = await world.conversation()
        first = await world.service.start_turn(
            tenant="default", conversation_id=conversation.id, text="hello"
        )
        assert conversation.workspace_id is not None
        assert (await finished(world, conversation.workspace_id)).code == 0
        assert (await world.rest_of_turn(first))[-1].type == "result"


async def test_what_is_run_is_audited_but_not_told() -> None:
    world = World()
    async with world.workspaces.saver:
        workspace = await world.workspace()
        await finished(world, workspace.id)
        world.containers.claim_failure = CapacityError("full")
        other = await world.workspace()
        with pytest.raises(CapacityError):
            await finished(world, other.id)
    (event,) = world.audit.events
    assert (event.kind, event.tenant, event.workspace) == (
        "command_started",
        "default",
        workspace.id,
    )
    assert (event.container, event.details) == ("k-1", {})


async def test_a_stop_reaches_all_that_run_and_none_that_has_ended() -> None:
    world = World()
    world.containers.agent.commands = [SAID[0], anyio.Event()]
    async with world.workspaces.saver:
        workspace = await world.workspace()
        commands = world.workspaces.commands
        running = [await commands.start(workspace, COMMAND) for _ in range(2)]
        ended = await commands.start(workspace, COMMAND)
        await ended.end()
        commands.stop()
        for one in running:
            with pytest.raises(StoppingError):
                _ = [frame async for frame in one.frames(idle_s=60)]
            await one.end()
    assert not ended._stopping.done()
    assert not commands._commands
