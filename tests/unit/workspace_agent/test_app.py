import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hakoiri.wire.agent import AgentHealth, AgentOptions, RunTurn
from hakoiri.wire.events import AgentEvent, Result, TextDelta, agent_event_adapter
from hakoiri.wire.messages import BODY_LIMIT_BYTES
from hakoiri.wire.problems import PROBLEM_MEDIA_TYPE, Problem
from hakoiri.wire.sse import SseBlock, SseDecoder
from hakoiri.workspace_agent.app import make_app
from hakoiri.workspace_agent.commands import Commands
from hakoiri.workspace_agent.errors import ConnectError
from hakoiri.workspace_agent.turns import Turns

pytestmark = pytest.mark.anyio

TURN = {"turn_id": "t1", "text": "hello"}


class GatedAgent:
    """Says one delta, then its result once the gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.connected: AgentOptions | None = None

    async def run(self, request: RunTurn) -> AsyncGenerator[AgentEvent, None]:
        yield TextDelta(text=request.text)
        await self.gate.wait()
        yield Result(text=request.text)

    async def connect(self, options: AgentOptions) -> None:
        if options.model == "broken":
            raise ConnectError("it said no")
        self.connected = options

    async def disconnect(self) -> None:
        self.connected = None

    async def interrupt(self) -> None:
        self.gate.set()

    async def close(self) -> None:
        self.gate.set()


class Running:
    """The interface with its client, and what happened to it."""

    def __init__(
        self, client: httpx2.AsyncClient, agent: GatedAgent, turns: Turns, commands: Commands
    ) -> None:
        self.client = client
        self.agent = agent
        self.turns = turns
        self.commands = commands
        self.shut_down = False

    async def get(self, path: str) -> httpx2.Response:
        return await self.client.get(path)

    async def post(self, path: str, json: Any = None) -> httpx2.Response:
        return await self.client.post(path, json=json)


@asynccontextmanager
async def running(*, keepalive_s: float = 3600) -> AsyncIterator[Running]:
    agent = GatedAgent()

    async def load() -> GatedAgent:
        return agent

    turns = Turns(load_agent=load)
    commands = Commands(workspace=Path("/"))
    state: Running

    def shut_down() -> None:
        state.shut_down = True

    app = make_app(turns=turns, commands=commands, shut_down=shut_down, keepalive_s=keepalive_s)
    transport = httpx2.ASGITransport(app=app)
    async with (
        asyncio.TaskGroup() as group,
        httpx2.AsyncClient(transport=transport, base_url="http://agent.test") as client,
    ):
        state = Running(client, agent, turns, commands)
        serving = group.create_task(turns.serve())
        yield state
        serving.cancel()


def blocks(response: httpx2.Response) -> list[SseBlock]:
    assert response.status_code == 200, response.text
    return SseDecoder(line_limit_bytes=100_000).feed(response.content)


def refused(response: httpx2.Response, status: int, code: str) -> str:
    assert response.headers["content-type"] == PROBLEM_MEDIA_TYPE
    problem = Problem.model_validate_json(response.content)
    assert (response.status_code, problem.status, problem.code) == (status, status, code)
    return problem.detail


async def test_health_tells_the_running_turn() -> None:
    async with running() as it:
        health = AgentHealth.model_validate_json((await it.get("/health")).content)
        assert (health.state, health.turn_id) == ("ready", None)
        it.agent.gate.clear()
        it.turns.start(RunTurn(turn_id="t1", text="x"))
        health = AgentHealth.model_validate_json((await it.get("/health")).content)
        assert (health.state, health.turn_id) == ("running", "t1")
        it.agent.gate.set()


async def test_a_turn_streams_numbered_events_to_its_result() -> None:
    async with running() as it:
        response = await it.post("/turns", TURN)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert [(b.id, b.event) for b in blocks(response)] == [("1", "text_delta"), ("2", "result")]
    assert agent_event_adapter.validate_json(blocks(response)[1].data) == Result(text="hello")


async def test_a_stream_is_replayed_from_where_the_host_is() -> None:
    async with running() as it:
        await it.post("/turns", TURN)
        again = await it.get("/turns/t1/events?after=0")
        assert [b.id for b in blocks(again)] == ["1", "2"]
        rest = await it.get("/turns/t1/events?after=1")
        assert [b.id for b in blocks(rest)] == ["2"]
        detail = refused(await it.get("/turns/t1/events?after=0"), 410, "events-forgotten")
        assert "up to 1" in detail


async def test_acknowledged_events_are_forgotten() -> None:
    async with running() as it:
        await it.post("/turns", TURN)
        assert (await it.post("/turns/t1/ack", {"seq": 2})).status_code == 204
        refused(await it.get("/turns/t1/events?after=1"), 410, "events-forgotten")
        assert blocks(await it.get("/turns/t1/events?after=2")) == []


async def test_a_second_turn_is_a_conflict_and_an_interrupt_ends_the_first() -> None:
    async with running() as it:
        it.agent.gate.clear()
        stream = it.turns.start(RunTurn(turn_id="t1", text="x"))
        detail = refused(await it.post("/turns", TURN | {"turn_id": "t2"}), 409, "turn-running")
        assert "t1" in detail
        assert (await it.post("/turns/t1/interrupt")).status_code == 202
        assert [b.event for b in blocks(await it.get("/turns/t1/events"))][-1] == "result"
        assert stream.has_ended


async def test_a_stopping_agent_takes_no_turn() -> None:
    async with running() as it:
        assert (await it.post("/shutdown")).status_code == 202
        assert it.shut_down
        await it.turns.stop()
        refused(await it.post("/turns", TURN), 503, "stopping")


async def test_an_idle_stream_is_kept_alive_with_comments() -> None:
    async with running(keepalive_s=0) as it:
        it.agent.gate.clear()
        stream = it.turns.start(RunTurn(turn_id="t1", text="x"))

        async def open_the_gate() -> None:
            for _ in range(50):
                await asyncio.sleep(0)
            it.agent.gate.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(open_the_gate())
            response = await it.get("/turns/t1/events")
        assert b": keep-alive\n\n" in response.content
        assert [b.id for b in blocks(response)] == ["1", "2"]
        assert stream.has_ended


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("/turns", {"turn_id": "t1"}, "body.text"),
        ("/turns", TURN | {"turn_id": "../x"}, "body.turn_id"),
        ("/turns", TURN | {"more": 1}, "body.more"),
        ("/turns/t1/ack", {"seq": -1}, "body.seq"),
    ],
)
async def test_a_request_not_as_agreed_is_refused_with_the_place(
    path: str, body: dict[str, Any], place: str
) -> None:
    async with running() as it:
        assert place in refused(await it.post(path, body), 422, "invalid-request")


async def test_what_is_not_there_is_refused_as_a_problem_too() -> None:
    async with running() as it:
        refused(await it.get("/turns/t9/events"), 404, "unknown-turn")
        refused(await it.post("/turns/t9/interrupt"), 404, "unknown-turn")
        refused(await it.get("/nothing"), 404, "http-404")
        refused(await it.get("/turns"), 405, "http-405")


async def test_a_body_over_the_limit_is_refused() -> None:
    async with running() as it:
        text = "x" * BODY_LIMIT_BYTES
        refused(await it.post("/turns", TURN | {"text": text}), 413, "body-too-long")


PROBE = {
    "runtime": "runc",
    "owner_uid": 7,
    "owner_gid": 8,
    "namespaces": {"ipc": 9},
    "open_files": 256,
    "file_limit_bytes": 1024,
    "apparmor": None,
}


async def test_no_probe_where_a_turn_ever_ran() -> None:
    async with running() as agent:
        await agent.post("/turns", TURN)
        answer = await agent.post("/probe", PROBE)
        assert answer.status_code == 409
        assert Problem.model_validate_json(answer.content).type.endswith("turn-running")


async def test_a_probe_is_asked_for_as_agreed() -> None:
    async with running() as agent:
        assert (await agent.post("/probe", PROBE | {"runtime": "crun"})).status_code == 422
        assert (await agent.post("/probe", {})).status_code == 422


async def test_the_process_is_connected_ahead_and_dropped_again() -> None:
    async with running() as state:
        assert (await state.post("/connect", {"model": "m"})).status_code == 204
        assert state.agent.connected == AgentOptions(model="m")
        assert (await state.post("/disconnect")).status_code == 204
        assert state.agent.connected is None


async def test_a_process_that_does_not_start_is_told_and_turns_go_on() -> None:
    async with running() as state:
        refused = await state.post("/connect", {"model": "broken"})
        assert (refused.status_code, refused.json()["detail"]) == (500, "it said no")
        assert (await state.post("/turns", {"turn_id": "t1", "text": "hi"})).status_code == 200


async def test_a_box_that_served_somebody_is_neither_connected_nor_emptied() -> None:
    async with running() as state:
        await state.post("/turns", {"turn_id": "t1", "text": "hi"})
        for call, body in (("/connect", {}), ("/disconnect", None)):
            assert (await state.post(call, body)).status_code == 409


COMMAND = {"argv": ["echo", "hello"], "timeout_s": 30, "output_limit_bytes": 100}


async def test_a_command_streams_what_it_says_to_its_exit() -> None:
    async with running() as it:
        response = await it.post("/exec", COMMAND)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert [(b.id, b.event) for b in blocks(response)] == [("1", "stdout"), ("2", "exit")]


async def test_a_command_that_is_not_as_agreed_is_refused() -> None:
    async with running() as it:
        detail = refused(await it.post("/exec", COMMAND | {"argv": []}), 422, "invalid-request")
        assert "argv" in detail


async def test_one_command_too_many_is_refused() -> None:
    async with running() as it:
        it.commands._running.update(object() for _ in range(16))  # type: ignore[misc]
        refused(await it.post("/exec", COMMAND), 429, "too-many-commands")
        it.commands._running.clear()
