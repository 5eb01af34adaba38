"""Commands on this host, below a directory of the test's."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
from tests.waiting import WAIT_S

from hakoiri.wire.command import CommandExit, CommandFrame, CommandOutput, RunCommand
from hakoiri.workspace_agent.command import Command
from hakoiri.workspace_agent.commands import Commands

TELL_PID = "echo $$ > pid.new; mv pid.new pid"


def asked(*argv: str, **more: object) -> RunCommand:
    given = {"argv": list(argv), "timeout_s": 30, "output_limit_bytes": 10_000_000}
    return RunCommand.model_validate(given | more)


def python(script: str, **more: object) -> RunCommand:
    return asked(sys.executable, "-c", script, **more)


@contextmanager
def commands_in(workspace: Path) -> Iterator[Commands]:
    commands = Commands(workspace=workspace)
    try:
        yield commands
    finally:
        commands.stop()
        commands._waiters.shutdown()


async def finished(commands: Commands, request: RunCommand) -> tuple[bytes, bytes, CommandExit]:
    """Run it to its end; return what it wrote and how it ended."""
    command = commands.start(request)
    try:
        frames = [frame async for frame in command.frames(idle_s=60)]
    finally:
        commands.end(command)
    return taken(frames)


def taken(frames: list[CommandFrame | None]) -> tuple[bytes, bytes, CommandExit]:
    *output, last = frames
    assert isinstance(last, CommandExit)
    wrote = {"stdout": b"", "stderr": b""}
    for frame in output:
        assert isinstance(frame, CommandOutput)
        wrote[frame.type] += frame.raw
    return wrote["stdout"], wrote["stderr"], last


async def first_line(command: Command) -> str:
    """Read until the command has written a line."""
    wrote = b""
    async for frame in command.frames(idle_s=60):
        assert isinstance(frame, CommandOutput), frame
        wrote += frame.raw
        if b"\n" in wrote:
            break
    return wrote.decode().strip()


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so that nobody tells of."""
    with anyio.fail_after(WAIT_S):
        while not is_so():  # noqa: ASYNC110 - a process has no event to await
            await anyio.sleep(0.01)


async def is_gone(pid: int) -> bool:
    """Wait until a process is neither running nor waiting to be reaped."""
    await until(lambda: not Path(f"/proc/{pid}").exists())
    return True


async def told_pid(workspace: Path) -> int:
    """Wait until a command has told its pid in a file; return it."""
    told = workspace / "pid"
    await until(told.exists)
    return int(told.read_text())
