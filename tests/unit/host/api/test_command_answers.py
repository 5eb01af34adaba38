import json
from collections.abc import MutableMapping
from typing import Any

import anyio
import pytest
from tests.unit.host.conversations.scripted import SAID, World

from hakoiri.host.api.command_answers import CommandDocument, CommandEvents
from hakoiri.host.conversations.running_command import RunningCommand
from hakoiri.wire.command import RunCommand
from hakoiri.wire.sse import SseDecoder

pytestmark = pytest.mark.anyio

SCOPE = {"type": "http", "asgi": {"spec_version": "2.3"}}
COMMAND = RunCommand(argv=["x"], timeout_s=60, output_limit_bytes=100)
Answer = type[CommandDocument] | type[CommandEvents]


class Client:
    """Takes what is sent, or stalls; leaves when told."""

    def __init__(self, *, stalls: bool = False) -> None:
        self.left = anyio.Event()
        self.sent: list[MutableMapping[str, Any]] = []
        self._stalls = stalls

    async def receive(self) -> MutableMapping[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message)
        if self._stalls:
            await anyio.sleep_forever()


async def started(world: World) -> RunningCommand:
    return await world.workspaces.commands.start(await world.workspace(), COMMAND)


@pytest.mark.parametrize("answer", [CommandDocument, CommandEvents])
@pytest.mark.parametrize("stalls", [False, True])
async def test_when_the_client_goes_the_command_is_ended(answer: Answer, *, stalls: bool) -> None:
    world = World()
    world.containers.agent.commands = [SAID[0], anyio.Event()]
    client = Client(stalls=stalls)
    async with world.workspaces.saver, anyio.create_task_group() as group:
        running = await started(world)
        group.start_soon(answer(running, encoding="text"), SCOPE, client.receive, client.send)
        await anyio.wait_all_tasks_blocked()
        assert world.containers.agent.ended == []
        client.left.set()
    assert world.containers.agent.ended == [COMMAND]
    assert not world.workspaces.commands._running
    if answer is CommandDocument:
        assert client.sent == []


@pytest.mark.parametrize("answer", [CommandDocument, CommandEvents])
async def test_the_end_is_told_when_the_files_are_seen_to(answer: Answer) -> None:
    world = World()
    client = Client()
    seen: list[bool] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        if b"exit_code" in message.get("body", b""):
            seen.append(bool(world.workspaces.saver._due))

    async with world.workspaces.saver:
        await answer(await started(world), encoding="text")(SCOPE, client.receive, send)
    assert seen == [True]


async def test_when_the_server_stops_the_events_end_with_that_error() -> None:
    world = World()
    world.containers.agent.commands = [SAID[0], anyio.Event()]
    client = Client()
    async with world.workspaces.saver, anyio.create_task_group() as group:
        answer = CommandEvents(await started(world), encoding="text")
        group.start_soon(answer, SCOPE, client.receive, client.send)
        await anyio.wait_all_tasks_blocked()
        world.workspaces.commands.stop()
    last = SseDecoder(line_limit_bytes=1000).feed(client.sent[-2]["body"])
    assert [block.event for block in last] == ["error"]
    assert json.loads(last[0].data)["code"] == "server-stopping"
    assert client.sent[-1]["more_body"] is False
    assert world.containers.agent.ended == [COMMAND]


async def test_when_the_server_stops_the_document_is_that_problem() -> None:
    world = World()
    world.containers.agent.commands = [SAID[0], anyio.Event()]
    client = Client()
    async with world.workspaces.saver, anyio.create_task_group() as group:
        answer = CommandDocument(await started(world), encoding="text")
        group.start_soon(answer, SCOPE, client.receive, client.send)
        await anyio.wait_all_tasks_blocked()
        world.workspaces.commands.stop()
    assert client.sent[0]["status"] == 503
    assert b"server-stopping" in client.sent[1]["body"]
