import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hakoiri.wire.agent import AgentOptions, RunTurn
from hakoiri.wire.events import AgentEvent, Error, Result, TextDelta, agent_event_adapter
from hakoiri.wire.sse import SseDecoder
from hakoiri.workspace_agent.errors import (
    AgentError,
    StoppingError,
    TurnRunningError,
    UnknownTurnError,
)
from hakoiri.workspace_agent.turn_stream import TurnStream
from hakoiri.workspace_agent.turns import Agent, Turns

pytestmark = pytest.mark.anyio


class ScriptedAgent:
    """Says what it was told to, then waits for an interrupt if told so."""

    def __init__(self, *events: AgentEvent, waits: bool = False, deaf: bool = False) -> None:
        self.events = events
        self.waits = waits
        self.deaf = deaf
        self.interrupted = asyncio.Event()
        self.closed = 0
        self.did: list[str] = []
        self.cleanup = asyncio.Event()
        self.cleanup.set()

    async def run(self, request: RunTurn) -> AsyncGenerator[AgentEvent, None]:
        self.did.append("run")
        for event in self.events:
            yield event
        if self.waits:
            await self.interrupted.wait()
            yield Error(code="interrupted", text="by the agent itself")
        await self.cleanup.wait()

    async def connect(self, options: AgentOptions) -> None:
        self.did.append("connect")
        await self.cleanup.wait()

    async def disconnect(self) -> None:
        self.did.append("disconnect")

    async def interrupt(self) -> None:
        if self.deaf:
            await asyncio.Event().wait()
        self.interrupted.set()

    async def close(self) -> None:
        self.closed += 1


class FailingAgent(ScriptedAgent):
    async def run(self, request: RunTurn) -> AsyncGenerator[AgentEvent, None]:
        yield TextDelta(text="so far")
        raise RuntimeError("the disk is on fire")


@asynccontextmanager
async def serving(agent: Agent, *, interrupt_grace_s: float = 5.0) -> AsyncIterator[Turns]:
    async def load() -> Agent:
        return agent

    turns = Turns(load_agent=load, interrupt_grace_s=interrupt_grace_s)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(turns.serve())
        yield turns
        task.cancel()


def ask(turn_id: str = "t1") -> RunTurn:
    return RunTurn(turn_id=turn_id, text="hello")


async def all_of(stream: TurnStream) -> list[AgentEvent]:
    decoder = SseDecoder(line_limit_bytes=100_000)
    blocks = [
        block
        async for event in stream.read(after=0, idle_s=3600)
        if event is not None
        for block in decoder.feed(event.block)
    ]
    return [agent_event_adapter.validate_json(block.data) for block in blocks]


async def test_a_turn_runs_to_its_last_event_and_the_next_one_may_start() -> None:
    agent = ScriptedAgent(TextDelta(text="a"), Result(text="a"))
    async with serving(agent) as turns:
        assert await all_of(turns.start(ask("t1"))) == list(agent.events)
        assert turns.state == "ready"
        assert await all_of(turns.start(ask("t2"))) == list(agent.events)
    assert agent.closed == 1


async def test_the_next_turn_may_start_while_the_agent_still_cleans_up() -> None:
    agent = ScriptedAgent(Result(text="a"))
    agent.cleanup.clear()
    async with serving(agent) as turns:
        await all_of(turns.start(ask("t1")))
        second = turns.start(ask("t2"))
        agent.cleanup.set()
        assert await all_of(second) == [Result(text="a")]


async def test_a_second_turn_is_refused_while_one_runs() -> None:
    async with serving(ScriptedAgent(waits=True)) as turns:
        stream = turns.start(ask("t1"))
        assert (turns.state, turns.running_turn_id) == ("running", "t1")
        with pytest.raises(TurnRunningError, match="t1"):
            turns.start(ask("t2"))
        turns.interrupt("t1")
        await all_of(stream)


async def test_an_interrupted_agent_ends_the_turn_in_its_own_words() -> None:
    agent = ScriptedAgent(TextDelta(text="a"), waits=True)
    async with serving(agent) as turns:
        stream = turns.start(ask())
        turns.interrupt("t1")
        events = await all_of(stream)
    assert events[-1] == Error(code="interrupted", text="by the agent itself")
    assert agent.closed == 1, "only at the end: the process may serve the next turn"


async def test_an_agent_deaf_to_interrupts_is_stopped_by_force() -> None:
    agent = ScriptedAgent(waits=True, deaf=True)
    async with serving(agent, interrupt_grace_s=0) as turns:
        stream = turns.start(ask())
        turns.interrupt("t1")
        (last,) = await all_of(stream)
    assert isinstance(last, Error)
    assert last.code == "interrupted"
    assert agent.closed == 2


async def test_an_interrupt_before_the_agent_is_loaded_ends_the_turn() -> None:
    class Unconnected(ScriptedAgent):
        async def interrupt(self) -> None:
            raise AgentError("not connected")

    async with serving(Unconnected(waits=True)) as turns:
        stream = turns.start(ask())
        turns.interrupt("t1")
        (last,) = await all_of(stream)
    assert isinstance(last, Error)
    assert last.code == "interrupted"


async def test_an_agent_that_fails_ends_the_turn_in_one_error() -> None:
    agent = FailingAgent()
    async with serving(agent) as turns:
        *_, last = await all_of(turns.start(ask()))
        assert isinstance(last, Error)
        assert last.code == "agent-failed"
        assert "on fire" in last.text
        assert turns.state == "ready"


async def test_an_agent_that_says_nothing_last_ends_the_turn_in_one_error() -> None:
    async with serving(ScriptedAgent(TextDelta(text="a"))) as turns:
        *_, last = await all_of(turns.start(ask()))
    assert isinstance(last, Error)
    assert last.code == "agent-failed"


async def test_stopping_interrupts_the_turn_and_takes_no_other() -> None:
    agent = ScriptedAgent(waits=True)
    async with serving(agent) as turns:
        stream = turns.start(ask())
        await turns.stop()
        assert (await all_of(stream))[-1].type == "error"
        assert turns.state == "stopping"
        with pytest.raises(StoppingError):
            turns.start(ask("t2"))


async def test_only_the_last_turn_is_known() -> None:
    async with serving(ScriptedAgent(Result(text=""))) as turns:
        with pytest.raises(UnknownTurnError):
            turns.stream("t1")
        await all_of(turns.start(ask("t1")))
        assert turns.stream("t1").has_ended
        turns.interrupt("t1")
        await all_of(turns.start(ask("t2")))
        with pytest.raises(UnknownTurnError):
            turns.interrupt("t1")


async def test_a_turn_waits_for_the_process_that_is_being_connected() -> None:
    agent = ScriptedAgent(Result(text="a"))
    agent.cleanup.clear()
    async with serving(agent) as turns, asyncio.TaskGroup() as group:
        group.create_task(turns.connect(AgentOptions()))
        await asyncio.sleep(0)
        stream = turns.start(ask())
        agent.cleanup.set()
        assert await all_of(stream) == [Result(text="a")]
    assert agent.did == ["connect", "run"]


async def test_a_host_that_stops_waiting_for_a_connect_does_not_end_the_agent() -> None:
    agent = ScriptedAgent(Result(text="a"))
    agent.cleanup.clear()
    async with serving(agent) as turns:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(turns.connect(AgentOptions()))
            await asyncio.sleep(0)
            waiting.cancel()
        agent.cleanup.set()
        await turns.disconnect()
        assert await all_of(turns.start(ask())) == [Result(text="a")]
    assert agent.did == ["connect", "disconnect", "run"]


async def test_nothing_is_connected_once_a_turn_ran_or_the_agent_stops() -> None:
    agent = ScriptedAgent(Result(text="a"))
    async with serving(agent) as turns:
        await all_of(turns.start(ask()))
        with pytest.raises(TurnRunningError):
            await turns.disconnect()
    async with serving(ScriptedAgent()) as turns:
        await turns.stop()
        with pytest.raises(StoppingError):
            await turns.connect(AgentOptions())
