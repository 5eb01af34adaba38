import asyncio
import json
import os
import signal
import stat
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from claude_agent_sdk import ClaudeSDKClient, Transport
from tests.waiting import WAIT_S

from hakoiri.wire.agent import AgentOptions, RunTurn
from hakoiri.wire.events import AgentEvent, Error, Result
from hakoiri.wire.sse import SseDecoder
from hakoiri.workspace_agent.__main__ import (
    CLI_START_LIMIT_S,
    CLI_START_LIMIT_VARIABLE,
    bind_socket,
    load_agent,
    serve,
)
from hakoiri.workspace_agent.turns import Agent

pytestmark = pytest.mark.anyio


class ObedientAgent:
    """Waits until it is interrupted."""

    def __init__(self) -> None:
        self.interrupted = asyncio.Event()
        self.closed = False

    async def run(self, request: RunTurn) -> AsyncGenerator[AgentEvent, None]:
        if request.text == "wait":
            await self.interrupted.wait()
            yield Error(code="interrupted", text="")
        else:
            yield Result(text="done")

    async def connect(self, options: AgentOptions) -> None:
        return

    async def disconnect(self) -> None:
        return

    async def interrupt(self) -> None:
        self.interrupted.set()

    async def close(self) -> None:
        self.closed = True


async def connectable(path: Path) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                _, writer = await asyncio.open_unix_connection(path)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                await writer.wait_closed()
                return


@asynccontextmanager
async def agent_process(directory: Path, agent: Agent) -> AsyncIterator[httpx2.AsyncClient]:
    """The process's own `serve`, in a task; ends when the body has made it end."""
    ended_at_once: list[int] = []

    async def load() -> Agent:
        return agent

    transport = httpx2.AsyncHTTPTransport(uds=str(directory / "agent.sock"))
    async with (
        httpx2.AsyncClient(transport=transport, base_url="http://agent.test") as client,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(
            serve(
                agent_directory=directory,
                proxy_directory=directory,
                relay_port=0,
                load_agent=load,
                end_at_once=ended_at_once.append,
            )
        )
        await connectable(directory / "agent.sock")
        yield client
    assert ended_at_once == []


async def test_a_turn_runs_over_the_socket_and_shutdown_ends_the_process(tmp_path: Path) -> None:
    agent = ObedientAgent()
    async with agent_process(tmp_path, agent) as client:
        assert (await client.get("/health")).json()["state"] == "ready"
        response = await client.post("/turns", json={"turn_id": "t1", "text": "work"})
        (block,) = SseDecoder(line_limit_bytes=1000).feed(response.content)
        assert block.event == "result"
        assert (await client.post("/shutdown")).status_code == 202
    assert agent.closed


async def test_a_signal_ends_the_running_turn_for_its_reader_first(tmp_path: Path) -> None:
    async with (
        agent_process(tmp_path, ObedientAgent()) as client,
        client.stream("POST", "/turns", json={"turn_id": "t1", "text": "wait"}) as response,
    ):
        os.kill(os.getpid(), signal.SIGTERM)
        body = b"".join([chunk async for chunk in response.aiter_bytes()])
    (block,) = SseDecoder(line_limit_bytes=1000).feed(body)
    assert block.event == "error"
    assert "interrupted" in block.data


class AnswersInitialize(Transport):
    """A CLI that has come up."""

    def __init__(self) -> None:
        self._asked: asyncio.Queue[str] = asyncio.Queue()

    async def connect(self) -> None:
        return

    async def write(self, data: str) -> None:
        await self._asked.put(json.loads(data)["request_id"])

    async def read_messages(self) -> AsyncGenerator[dict[str, Any], None]:
        response = {"subtype": "success", "request_id": await self._asked.get(), "response": {}}
        yield {"type": "control_response", "response": response}

    async def close(self) -> None:
        return

    def is_ready(self) -> bool:
        return True

    async def end_input(self) -> None:
        return


async def test_the_cli_may_take_longer_to_come_up_than_the_sdk_gives_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(CLI_START_LIMIT_VARIABLE, "0")
    await load_agent()
    client = ClaudeSDKClient(transport=AnswersInitialize())
    await client.connect()
    assert client._query is not None
    limit_s = client._query._initialize_timeout
    await client.disconnect()
    assert limit_s == CLI_START_LIMIT_S > 2 * 60


def test_a_socket_left_from_before_is_replaced_and_open_to_all(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    bind_socket(path).close()
    with bind_socket(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
