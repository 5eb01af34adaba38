"""One command in the box: a process group of its own, whose output is read no faster than sent.

No task belongs to it: pipes, the time limit and the process's end arrive as callbacks, and whoever
reads the frames decides when it is over. The process is reaped only after its group was killed, so
that the group's number cannot be another's by then.
"""

import asyncio
import os
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, Literal

from hakoiri.wire.base64_text import decode
from hakoiri.wire.command import (
    NOT_FOUND_CODE,
    NOT_STARTED_CODE,
    CommandExit,
    CommandFrame,
    CommandOutput,
    RunCommand,
)
from hakoiri.wire.command_limits import FRAME_LIMIT_BYTES, WORKING_ROOT

HELD_LIMIT_BYTES: Final = 256 * 1024
"""Output that waits to be sent; beyond it the pipes are not read, and the command waits."""

LEFTOVER_GRACE_S: Final = 0.2
"""How long a pipe may stay open after the command and its group are gone: what left the group (a
daemon) may hold it for ever."""

Stream = Literal["stdout", "stderr"]


class Command:
    """A command that was started, or could not be; `frames` tells of it."""

    def __init__(self, request: RunCommand, *, workspace: Path, waiters: Executor) -> None:
        """Start it at once. `waiters` needs one thread for as long as the process lives."""
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._held: deque[tuple[Stream, bytes]] = deque()
        self._held_bytes = 0
        self._room_bytes = request.output_limit_bytes
        self._changed = asyncio.Event()
        self._pipes: list[_Pipe] = []
        self._exit: CommandExit | None = None
        self._timed_out = False
        self._cut = False
        self._timers: list[asyncio.TimerHandle] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._reaping = threading.Lock()
        self._ends: list[tuple[Stream, IO[bytes] | None]] = []
        try:
            self._process = _spawn(request, workspace)
        except (OSError, ValueError) as error:
            self._give_up(error)
            return
        self._ends = [("stdout", self._process.stdout), ("stderr", self._process.stderr)]
        end = self._loop.run_in_executor(waiters, self._wait, self._process)
        end.add_done_callback(self._ended)
        self._timers.append(self._loop.call_later(request.timeout_s, self._time_out))

    async def frames(self, *, idle_s: float) -> AsyncGenerator[CommandFrame | None, None]:
        """Yield output as it comes, then the exit; None whenever nothing came for `idle_s`."""
        await self._open_pipes()
        while True:
            while self._held:
                stream, raw = self._held.popleft()
                self._held_bytes -= len(raw)
                yield CommandOutput.of(stream, raw)
            self._resume()
            if self._exit is not None and all(pipe.is_closed for pipe in self._pipes):
                break
            if not await self._something_new(idle_s):
                yield None
        yield self._exit.model_copy(update={"output_cut": self._cut})

    def kill(self) -> None:
        """End it with its whole group, and let go of its pipes; harmless when it is over."""
        for timer in self._timers:
            timer.cancel()
        self._kill_group()
        self._close_pipes()

    async def _something_new(self, idle_s: float) -> bool:
        self._changed.clear()
        try:
            async with asyncio.timeout(idle_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def _open_pipes(self) -> None:
        for stream, end in self._ends:
            pipe = _Pipe(stream, self._take, self._changed.set)
            self._pipes.append(pipe)
            await self._loop.connect_read_pipe(pipe.itself, end)

    def _take(self, stream: Stream, raw: bytes) -> None:
        if len(raw) > self._room_bytes:
            raw, self._cut = raw[: self._room_bytes], True
        self._room_bytes -= len(raw)
        for start in range(0, len(raw), FRAME_LIMIT_BYTES):
            self._held.append((stream, raw[start : start + FRAME_LIMIT_BYTES]))
        self._held_bytes += len(raw)
        if self._held_bytes >= HELD_LIMIT_BYTES:
            for pipe in self._pipes:
                pipe.pause()
        self._changed.set()

    def _resume(self) -> None:
        for pipe in self._pipes:
            pipe.resume()

    def _ended(self, end: "asyncio.Future[CommandExit]") -> None:
        self._exit = end.result().model_copy(update={"timed_out": self._timed_out})
        self._timers.append(self._loop.call_later(LEFTOVER_GRACE_S, self._leave_leftovers))
        self._changed.set()

    def _leave_leftovers(self) -> None:
        if self._held and not self._timed_out:
            timer = self._loop.call_later(LEFTOVER_GRACE_S, self._leave_leftovers)
            self._timers.append(timer)
            return
        self._close_pipes()
        self._changed.set()

    def _time_out(self) -> None:
        if self._exit is None:
            self._timed_out = True
            self._kill_group()
        else:  # over, but something that left the group goes on writing
            self._cut = True
            self._close_pipes()
            self._changed.set()

    def _kill_group(self) -> None:
        with self._reaping:
            if self._process is not None:
                _kill(self._process)

    def _wait(self, process: subprocess.Popen[bytes]) -> CommandExit:
        """Wait for the end, kill what is left of the group, reap. Runs in a thread of its own."""
        end = _end_of(process.pid)
        with self._reaping:
            _kill(process)
            process.wait()
            self._process = None
        return end

    def _close_pipes(self) -> None:
        for pipe in self._pipes:
            pipe.close()
        for _, end in self._ends[len(self._pipes) :]:
            if end is not None:
                end.close()

    def _give_up(self, error: Exception) -> None:
        is_missing = isinstance(error, FileNotFoundError)
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        text = f"{self._request.argv[0][:200]}: {reason}\n"
        self._take("stderr", text.encode("utf-8", "replace"))
        self._exit = CommandExit(code=NOT_FOUND_CODE if is_missing else NOT_STARTED_CODE)


class _Pipe(asyncio.Protocol):
    """The reading end of one of a command's streams."""

    def __init__(
        self, stream: Stream, take: Callable[[Stream, bytes], None], changed: Callable[[], None]
    ) -> None:
        self._stream = stream
        self._take = take
        self._changed = changed
        self._transport: asyncio.ReadTransport | None = None
        self.is_closed = False

    def itself(self) -> "_Pipe":
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.ReadTransport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._take(self._stream, data)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.is_closed = True
        self._changed()

    def pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _spawn(request: RunCommand, workspace: Path) -> subprocess.Popen[bytes]:
    """Start the process as the leader of a session, and so of a group, of its own."""
    directory = workspace / Path(request.directory).relative_to(WORKING_ROOT)
    if not directory.is_dir():
        raise NotADirectoryError(0, f"there is no directory {request.directory}")
    with tempfile.TemporaryFile() as stdin:
        if request.stdin is not None:
            stdin.write(decode(request.stdin))
            stdin.seek(0)
        return subprocess.Popen(  # noqa: S603 - running what is asked for is its purpose
            request.argv,
            cwd=directory,
            env=_environment(request.environment),
            stdin=subprocess.DEVNULL if request.stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )


def _environment(added: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, **added}


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _end_of(pid: int) -> CommandExit:
    """Wait for the process's end and leave it unreaped."""
    status = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    if status is None:
        raise ChildProcessError(f"process {pid} was reaped by another")
    if status.si_code == os.CLD_EXITED:
        return CommandExit(code=status.si_status)
    return CommandExit(signal=status.si_status)
