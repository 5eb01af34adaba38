from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import anyio
import pytest
from tests.unit.host.conversations.scripted import SAID, CommandStep

from hakoiri.host.containers.ports import (
    AgentProtocolError,
    AgentUnreachableError,
    StoppingError,
)
from hakoiri.host.conversations.failures import AgentSilentError
from hakoiri.host.conversations.running_command import RunningCommand
from hakoiri.wire.command import CommandExit, CommandFrame, CommandOutput, RunCommand

pytestmark = pytest.mark.anyio


class Run:
    """A command whose agent follows the steps, and what became of it."""

    def __init__(
        self, steps: Sequence[CommandStep], *, timeout_s: float = 60, grace_s: float = 60
    ) -> None:
        self.left: list[bool] = []
        self.closed = False
        stream = AsyncExitStack()
        stream.callback(self._close)
        command = RunCommand(argv=["x"], timeout_s=timeout_s, output_limit_bytes=10)
        self.running = RunningCommand(
            command, _play(steps), stream=stream, leave=self._leave, grace_s=grace_s
        )

    def _close(self) -> None:
        self.closed = True

    async def _leave(self, is_sound: bool) -> None:  # noqa: FBT001
        assert self.closed
        self.left.append(is_sound)

    async def told(self, *, idle_s: float = 60) -> list[CommandFrame | None]:
        try:
            return [frame async for frame in self.running.frames(idle_s=idle_s)]
        finally:
            await self.running.end()


async def _play(steps: Sequence[CommandStep]) -> AsyncIterator[tuple[int, CommandFrame]]:
    for step in steps:
        if isinstance(step, Exception):
            raise step
        if isinstance(step, anyio.Event):
            await step.wait()
        else:
            yield step


async def test_it_is_let_go_once_however_often_it_is_ended() -> None:
    run = Run(SAID)
    await run.told()
    await run.running.end()
    assert run.left == [True]


async def test_frames_come_to_the_exit_and_the_container_is_left_sound() -> None:
    run = Run(SAID)
    assert await run.told() == [CommandOutput.of("stdout", b"hi\n"), CommandExit(code=0)]
    assert run.left == [True]


async def test_silence_is_told_and_loses_nothing() -> None:
    go_on = anyio.Event()
    run = Run([SAID[0], go_on, SAID[1]])
    frames = run.running.frames(idle_s=0.01)
    assert [await anext(frames), await anext(frames)] == [CommandOutput.of("stdout", b"hi\n"), None]
    go_on.set()
    rest = [frame async for frame in frames if frame is not None]
    assert rest == [CommandExit(code=0)]
    await run.running.end()


async def test_a_stream_that_ends_without_an_exit_is_a_lost_container() -> None:
    run = Run(SAID[:1])
    with pytest.raises(AgentUnreachableError, match="before its end"):
        await run.told()
    assert run.left == [True]  # the next claim asks for its health


async def test_a_lie_makes_the_container_unsound() -> None:
    run = Run([(7, CommandExit(code=0))])
    with pytest.raises(AgentProtocolError):
        await run.told()
    assert run.left == [False]


async def test_what_follows_the_exit_is_a_lie_too() -> None:
    run = Run([*SAID, (3, CommandExit(code=1))])
    with pytest.raises(AgentProtocolError):
        await run.told()
    assert run.left == [False]


async def test_an_agent_that_does_not_close_after_the_exit_holds_nothing_up() -> None:
    run = Run([*SAID, anyio.Event()])
    assert (await run.told())[-1] == CommandExit(code=0)
    assert run.left == [True]


async def test_an_agent_that_does_not_keep_the_time_limit_is_unsound() -> None:
    run = Run([anyio.Event()], timeout_s=0.01, grace_s=0.01)
    with pytest.raises(AgentSilentError), anyio.fail_after(60):
        await run.told()
    assert run.left == [False]


async def test_who_leaves_closes_the_stream() -> None:
    run = Run([anyio.Event()])
    with anyio.move_on_after(0.01):
        await run.told()
    assert run.closed
    assert run.left == [True]


async def test_a_failure_that_nobody_read_is_no_failure_of_the_end() -> None:
    failed = anyio.Event()
    run = Run([failed, AgentUnreachableError("lost")])
    frames = run.running.frames(idle_s=0.01)
    assert await anext(frames) is None
    failed.set()
    await anyio.wait_all_tasks_blocked()
    await run.running.end()
    assert run.left == [True]


async def test_it_is_let_go_though_its_stream_cannot_be_closed() -> None:
    run = Run(SAID)

    def breaks() -> None:
        run.closed = True
        raise RuntimeError("the session is closed")

    run.running._stream.callback(breaks)
    with pytest.raises(RuntimeError):
        await run.running.end()
    assert run.left == [True]


async def test_a_stop_is_told_to_who_reads_and_the_container_is_sound() -> None:
    run = Run([SAID[0], anyio.Event()])
    frames = run.running.frames(idle_s=60)
    assert await anext(frames) == CommandOutput.of("stdout", b"hi\n")
    async with anyio.create_task_group() as group:

        async def read_on() -> None:
            with pytest.raises(StoppingError):
                await anext(frames)

        group.start_soon(read_on)
        await anyio.wait_all_tasks_blocked()
        run.running.stop()
        run.running.stop()
    await run.running.end()
    assert run.left == [True]


async def test_what_had_come_before_a_stop_is_still_told() -> None:
    run = Run(SAID)
    run.running.stop()
    told = [frame async for frame in run.running.frames(idle_s=60)]
    assert told == [CommandOutput.of("stdout", b"hi\n"), CommandExit(code=0)]
    await run.running.end()
