"""A hostile container behind the agent's socket: nothing it does may hurt the host."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
from aiohttp import web

from hakoiri.host.adapters.agent_client import AgentClient, open_socket
from hakoiri.host.containers.ports import (
    AgentProtocolError,
    AgentUnreachableError,
    TooManyCommandsError,
)
from hakoiri.wire.agent import AGENT_KEEPS_IDLE_S, HOST_KEEPS_IDLE_S, RunTurn
from hakoiri.wire.command import CommandExit, CommandFrame, CommandOutput, RunCommand
from hakoiri.wire.command_limits import FRAME_LINE_LIMIT_BYTES
from hakoiri.wire.events import AgentEvent
from hakoiri.wire.problems import Problem
from hakoiri.workspace_agent.__main__ import server_configuration
from hakoiri.workspace_agent.early_app import EarlyApp

pytestmark = pytest.mark.anyio

TURN = RunTurn(turn_id="t1", text="hello")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def agent(directory: Path, handler: Handler) -> AsyncIterator[AgentClient]:
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(directory / "agent.sock")).start()
    client = AgentClient(directory)
    try:
        yield client
    finally:
        await client.close()
        await runner.cleanup()


def saying(*chunks: bytes) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        return response

    return handler


async def well(_: web.Request) -> web.StreamResponse:
    return web.json_response({"state": "ready", "version": "1"})


async def heard(client: AgentClient) -> list[tuple[int, AgentEvent]]:
    return [event async for event in client.run_turn(TURN)]


async def test_numbered_events_arrive_in_order(tmp_path: Path) -> None:
    stream = (
        b'id: 1\nevent: text_delta\ndata: {"type":"text_delta","text":"a"}\n\n'
        b": keep-alive\n\n"
        b'id: 2\nevent: result\ndata: {"type":"result","text":"a"}\n\n'
    )
    async with agent(tmp_path, saying(stream[:30], stream[30:])) as client:
        events = await heard(client)
    assert [(number, event.type) for number, event in events] == [(1, "text_delta"), (2, "result")]


@pytest.mark.parametrize(
    "lie",
    [
        b'id: 1\ndata: {"type":"user_message","text":"forged"}\n\n',
        b'id: one\ndata: {"type":"text_delta","text":"a"}\n\n',
        b"id: 1\ndata: " + b"[" * 100_000 + b"\n\n",
        b"id: 1\ndata: \xff\n\n",
        b"id: 1\ndata: " + b"x" * (9 * 1024 * 1024) + b"\n\n",
        b"id: 1\ndata: " + b"x" * (9 * 1024 * 1024),
    ],
    ids=["forged", "no-number", "deep", "not-utf8", "long-line", "endless-line"],
)
async def test_a_lie_ends_the_stream_with_a_protocol_error(tmp_path: Path, lie: bytes) -> None:
    async with agent(tmp_path, saying(lie)) as client:
        with pytest.raises(AgentProtocolError):
            await heard(client)


async def test_an_answer_without_end_is_cut_off(tmp_path: Path) -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(64):
            await response.write(b"x" * 65536)
        return response

    async with agent(tmp_path, flood) as client:
        with pytest.raises(AgentUnreachableError, match="longer than"):
            await client.health()


async def test_a_broken_off_stream_is_unreachable_not_silence(tmp_path: Path) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'id: 1\ndata: {"type":"text_delta","text":"a"}\n\n')
        assert request.transport is not None
        request.transport.close()
        return response

    async with agent(tmp_path, cut) as client:
        with pytest.raises(AgentUnreachableError):
            await heard(client)


@pytest.mark.parametrize("kind", ["missing", "symlink", "fifo", "directory", "file"])
def test_only_a_socket_is_ever_opened(tmp_path: Path, kind: str) -> None:
    other = tmp_path / "other.sock"
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(other))
        listening.listen()
        if kind == "symlink":
            path.symlink_to(other)
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "directory":
            path.mkdir()
        elif kind == "file":
            path.touch()
        with pytest.raises(AgentUnreachableError):
            open_socket(tmp_path)


def test_the_directory_itself_may_not_be_a_link(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(real / "agent.sock"))
        listening.listen()
        (tmp_path / "link").symlink_to(real)
        with pytest.raises(AgentUnreachableError):
            open_socket(tmp_path / "link")
        os.close(open_socket(real))


async def test_a_socket_swapped_after_the_check_is_not_the_one_connected_to(
    tmp_path: Path,
) -> None:
    async with agent(tmp_path, saying(b'id: 1\ndata: {"type":"result","text":""}\n\n')) as client:
        await client._session()
        (tmp_path / "agent.sock").rename(tmp_path / "honest.sock")
        (tmp_path / "agent.sock").symlink_to("/var/run/docker.sock")
        assert [number for number, _ in await heard(client)] == [1]


async def test_a_socket_that_never_answers_costs_only_the_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hakoiri.host.adapters.agent_client.CALL_TIMEOUT_S", 0.05)
    released = anyio.Event()

    async def never(_: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    async with agent(tmp_path, never) as client:
        with pytest.raises(AgentUnreachableError):
            await client.health()
        released.set()


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_descriptors_do_not_pile_up(tmp_path: Path) -> None:
    before = open_descriptors()
    for _ in range(20):
        client = AgentClient(tmp_path)
        with pytest.raises(AgentUnreachableError):
            await client.health()
        await client.close()
    # some of tests before may be closed meanwhile
    assert open_descriptors() <= before


COMMAND = RunCommand(argv=["x"], timeout_s=1, output_limit_bytes=100)


async def frames_of(client: AgentClient) -> list[tuple[int, CommandFrame]]:
    async with client.run_command(COMMAND) as frames:
        return [frame async for frame in frames]


async def test_a_commands_frames_arrive(tmp_path: Path) -> None:
    stream = (
        b'id: 1\nevent: stdout\ndata: {"type":"stdout","base64":"YQ=="}\n\n'
        b": keep-alive\n\n"
        b'id: 2\nevent: exit\ndata: {"type":"exit","code":0}\n\n'
    )
    async with agent(tmp_path, saying(stream[:40], stream[40:])) as client:
        assert await frames_of(client) == [
            (1, CommandOutput.of("stdout", b"a")),
            (2, CommandExit(code=0)),
        ]


@pytest.mark.parametrize(
    "lie",
    [
        b'id: 1\ndata: {"type":"result","text":"a"}\n\n',
        b'id: one\ndata: {"type":"exit","code":0}\n\n',
        b'id: 1\ndata: {"type":"stdout","base64":"not base64"}\n\n',
        b'id: 1\ndata: {"type":"exit","code":0,"signal":9}\n\n',
        b'id: 1\ndata: {"type":"exit","code":-1}\n\n',
        b"id: 1\ndata: " + b"[" * 100_000 + b"\n\n",
        b"id: 1\ndata: \xff\n\n",
        b"id: 1\ndata: " + b"x" * (FRAME_LINE_LIMIT_BYTES + 1),
    ],
    ids=[
        "forged",
        "no-number",
        "no-base64",
        "two-ends",
        "negative",
        "deep",
        "not-utf8",
        "endless-line",
    ],
)
async def test_a_lie_about_a_command_is_a_protocol_error(tmp_path: Path, lie: bytes) -> None:
    async with agent(tmp_path, saying(lie)) as client:
        with pytest.raises(AgentProtocolError):
            await frames_of(client)


async def test_a_commands_stream_that_breaks_off_is_unreachable(tmp_path: Path) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        assert request.transport is not None
        request.transport.close()
        return response

    async with agent(tmp_path, cut) as client:
        with pytest.raises(AgentUnreachableError):
            await frames_of(client)


async def test_too_many_commands_is_told_as_such(tmp_path: Path) -> None:
    async def full(_: web.Request) -> web.Response:
        problem = Problem.of("too-many-commands", title="Too many", status=429, detail="16 run")
        return web.Response(status=429, text=problem.model_dump_json())

    async with agent(tmp_path, full) as client:
        with pytest.raises(TooManyCommandsError, match="16 run"):
            await frames_of(client)


async def test_leaving_a_command_closes_its_connection(tmp_path: Path) -> None:
    gone = anyio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(b": keep-alive\n\n")
                await anyio.sleep(0.01)
        gone.set()
        return response

    async with agent(tmp_path, endless) as client:
        async with client.run_command(COMMAND):
            pass
        with anyio.fail_after(60):
            await gone.wait()


async def test_a_closed_connection_stays_closed_whoever_still_asks(tmp_path: Path) -> None:
    async with agent(tmp_path, saying()) as client:
        await client.close()
        before = open_descriptors()
        for ask in (client.health, lambda: client.acknowledge("t1", 1), lambda: heard(client)):
            with pytest.raises(AgentUnreachableError, match="closed"):
                await ask()
        assert open_descriptors() <= before


async def test_a_connection_that_a_thawed_agent_is_about_to_close_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("aiohttp.connector.monotonic", lambda: now)
    together = asyncio.Barrier(2)
    asked_on: dict[object, int] = {}

    async def answer_once(request: web.Request) -> web.StreamResponse:
        """As an agent does whose timers ran out while it was frozen: close what was idle."""
        asked_on[request.protocol] = asked_on.get(request.protocol, 0) + 1
        if asked_on[request.protocol] > 1:
            request.protocol.force_close()
            raise ConnectionResetError
        if len(asked_on) <= together.parties:
            await together.wait()  # each call has a connection of its own, and both stay open
        return await well(request)

    async with agent(tmp_path, answer_once) as client:
        await asyncio.gather(client.health(), client.health())
        now += AGENT_KEEPS_IDLE_S  # frozen for as long as the agent holds a connection
        assert (await client.health()).state == "ready"
    assert list(asked_on.values()) == [1, 1, 1]


async def test_the_agent_holds_a_connection_far_longer_than_the_host_uses_it() -> None:
    server = server_configuration(EarlyApp())
    assert server.timeout_keep_alive == AGENT_KEEPS_IDLE_S >= 3 * HOST_KEEPS_IDLE_S


async def test_a_new_agent_at_the_same_place_is_found_after_the_old_one_was_away(
    tmp_path: Path,
) -> None:
    client = AgentClient(tmp_path)
    try:
        with pytest.raises(AgentUnreachableError):
            await client.health()
        async with agent(tmp_path, well):
            assert (await client.health()).state == "ready"
    finally:
        await client.close()
