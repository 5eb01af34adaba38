from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.unit.workspace_agent.running_commands import (
    TELL_PID,
    asked,
    commands_in,
    is_gone,
    told_pid,
)

from hakoiri.wire.command import CommandExit, RunCommand, command_frame_adapter
from hakoiri.wire.sse import COMMENT_KEEPALIVE, SseDecoder
from hakoiri.workspace_agent.command import Command
from hakoiri.workspace_agent.command_stream import CommandStream
from hakoiri.workspace_agent.commands import Commands

pytestmark = pytest.mark.anyio

SCOPE = {"type": "http", "asgi": {"spec_version": "2.3"}}


class Reader:
    """Who asked: takes `limit` messages, then waits for ever; leaves when told."""

    def __init__(self, *, limit: int = 1000) -> None:
        self.body: list[bytes] = []
        self.left = anyio.Event()
        self.stalled = anyio.Event()
        self._limit = limit

    async def receive(self) -> MutableMapping[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.body.append(message.get("body", b""))
        if len(self.body) >= self._limit:
            self.stalled.set()
            await anyio.sleep_forever()


async def answer(
    commands: Commands, request: RunCommand, reader: Reader, *, keepalive_s: float = 60
) -> Command:
    command = commands.start(request)
    stream = CommandStream(command, end=commands.end, keepalive_s=keepalive_s)
    await stream(SCOPE, reader.receive, reader.send)
    return command


async def test_frames_are_numbered_from_one_to_the_exit(tmp_path: Path) -> None:
    reader = Reader()
    with commands_in(tmp_path) as commands:
        await answer(commands, asked("sh", "-c", "echo a; exit 2"), reader)
    blocks = SseDecoder(line_limit_bytes=1000).feed(b"".join(reader.body))
    assert [(block.id, block.event) for block in blocks] == [("1", "stdout"), ("2", "exit")]
    assert command_frame_adapter.validate_json(blocks[1].data) == CommandExit(code=2)


async def test_silence_is_filled_with_comments(tmp_path: Path) -> None:
    reader = Reader()
    with commands_in(tmp_path) as commands:
        await answer(commands, asked("sleep", "0.2"), reader, keepalive_s=0.02)
    assert COMMENT_KEEPALIVE in reader.body


@pytest.mark.parametrize("limit", [1, 1000], ids=["who stopped reading", "who reads"])
async def test_when_the_reader_goes_the_command_is_killed(tmp_path: Path, limit: int) -> None:
    reader = Reader(limit=limit)
    script = f"{TELL_PID}; echo started; exec sleep 1000"
    with commands_in(tmp_path) as commands:
        async with anyio.create_task_group() as group:
            group.start_soon(answer, commands, asked("sh", "-c", script), reader)
            pid = await told_pid(tmp_path)
            reader.left.set()
        assert await is_gone(pid)
        assert not commands._running
