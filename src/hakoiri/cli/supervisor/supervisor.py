"""Starts the processes in order, starts again what dies, ends all in reverse order."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from hakoiri.cli.supervisor.process import ProcessSpec, launch_command
from hakoiri.cli.supervisor.restart import GiveUp, RestartState, after_exit

READY_TIMEOUT_S: Final = 180.0
"""For what hangs: a machine that is far too busy needs a minute, and what ends is seen at once."""

READY_POLL_S: Final = 0.02
KILL_AFTER_S: Final = 30.0

LEAVE: Final = signal.SIGUSR1
"""Ends all as SIGTERM does, but containers and their turns stay for the next start."""

log = structlog.get_logger(__name__)

IsReady = Callable[[], Awaitable[bool]]


class StartError(Exception):
    """A process did not come up."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        """Say why, and with which code the supervisor ends."""
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(slots=True)
class Supervised:
    """A process to keep up, and how to see that it serves."""

    spec: ProcessSpec
    is_ready: IsReady
    process: asyncio.subprocess.Process | None = None
    spare: asyncio.subprocess.Process | None = None
    started_at_s: float = 0.0
    restarts: RestartState = field(default_factory=RestartState)


class Supervisor:
    """Keeps processes up until it is told to stop."""

    def __init__(
        self,
        *,
        shown: tuple[Path, ...],
        on_ready: Callable[[], None],
        on_hang_up: Callable[[], None] = lambda: None,
        on_stop: Callable[[], None] = lambda: None,
        stdout: int | None = None,
    ) -> None:
        """`shown` as in `launch_command`; `on_ready` is called once, when all serve.

        `on_hang_up` is called at each SIGHUP from then on; before, there is nothing to reload.
        `on_stop` is called once, when the processes begin to be ended.
        `stdout` is where the processes' logs go; absent means our own standard output.
        """
        self._shown = shown
        self._stdout = stdout
        self._on_ready = on_ready
        self._on_hang_up = on_hang_up
        self._on_stop = on_stop
        self._is_leaving = False
        self._stopping = asyncio.Event()

    async def run(self, supervised: list[Supervised]) -> int:
        """Start all in order, keep them up, end them in reverse order; return the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(LEAVE, self._leave)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        try:
            for one in supervised:
                await self._start(one)
                await self._until_ready(one)
            if self._stopping.is_set():
                return 0
            self._on_ready()
            loop.add_signal_handler(signal.SIGHUP, self._on_hang_up)
            return await self._keep_up(supervised)
        except StartError as error:
            log.error("start_failed", reason=str(error))  # noqa: TRY400 - the reason is the message
            return error.exit_code
        finally:
            self._on_stop()
            for one in reversed(supervised):
                number = LEAVE if self._is_leaving and one.spec.can_leave else signal.SIGTERM
                await _end(one.spare, one.spec.name)
                await _end(one.process, one.spec.name, number)

    def _leave(self) -> None:
        if not self._stopping.is_set():
            self._is_leaving = True
            self._stopping.set()

    async def _keep_up(self, supervised: list[Supervised]) -> int:
        """Watch until the stop or until one cannot be kept up."""
        watchers = [asyncio.Task(self._watch(one), name=one.spec.name) for one in supervised]
        stop = asyncio.Task(self._stopping.wait(), name="stop")
        try:
            await asyncio.wait([stop, *watchers], return_when=asyncio.FIRST_COMPLETED)
            return next((task.result() for task in watchers if task.done()), 0)
        finally:
            for task in [stop, *watchers]:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _watch(self, one: Supervised) -> int:
        """Start it again whenever it dies; return the exit code when that is of no use."""
        while True:
            await self._make_spare(one)
            exit_code = await _exit_code(one.process)
            if one.spec.is_errand:
                return exit_code
            given_up = await self._start_again(one, exit_code)
            if given_up is not None:
                return given_up.exit_code

    async def _start_again(self, one: Supervised, exit_code: int) -> GiveUp | None:
        """Start what ended again, when it may be; return why not, where that is of no use."""
        decision = after_exit(
            one.restarts, exit_code=exit_code, ran_s=time.monotonic() - one.started_at_s
        )
        if isinstance(decision, GiveUp):
            return decision
        log.warning(
            "process_died",
            process=one.spec.name,
            exit_code=exit_code,
            restart_in_s=decision.delay_s,
        )
        one.restarts = decision.state
        await asyncio.sleep(decision.delay_s)
        await self._start(one)
        return None

    async def _start(self, one: Supervised) -> None:
        """Let the spare serve, or a new process where there is none."""
        if self._stopping.is_set():
            return
        spare, one.spare = one.spare, None
        is_usable = spare is not None and spare.returncode is None
        one.process = spare if is_usable else await self._launch(one.spec)
        one.started_at_s = time.monotonic()
        if one.process is not None and one.process.stdin is not None:
            with contextlib.suppress(ConnectionError):
                one.process.stdin.write(one.spec.standard_input)
                await one.process.stdin.drain()
            one.process.stdin.close()

    async def _make_spare(self, one: Supervised) -> None:
        """Have one stand by, as soon as the one before it serves and needs the machine no more."""
        if not one.spec.has_spare:
            return
        while not self._stopping.is_set() and not await one.is_ready():
            if one.process is None or one.process.returncode is not None:
                return
            await asyncio.sleep(READY_POLL_S)
        if not self._stopping.is_set():
            one.spare = await self._launch(one.spec)

    async def _launch(self, spec: ProcessSpec) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *launch_command(spec, shown=self._shown, supervisor_pid=os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            stdout=self._stdout,
            env=dict(spec.environment),
            cwd="/",
            pass_fds=spec.inherited,
            # a Ctrl-C in the terminal is for the supervisor, which ends the others in order
            start_new_session=True,
        )

    async def _until_ready(self, one: Supervised) -> None:
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        while not self._stopping.is_set() and not await one.is_ready():
            code = None if one.process is None else one.process.returncode
            if code is not None and code < 0:  # it did not give up: somebody killed it
                await self._start_again(one, _as_exit_code(code))
            elif code is not None:
                raise StartError(
                    f"{one.spec.name} ended at its start; its last lines above say why",
                    exit_code=code or 1,
                )
            if time.monotonic() > deadline_s:
                raise StartError(f"{one.spec.name} did not serve within {READY_TIMEOUT_S:.0f} s")
            await asyncio.sleep(READY_POLL_S)


async def _exit_code(process: asyncio.subprocess.Process | None) -> int:
    if process is None:
        return 0
    return _as_exit_code(await process.wait())


def _as_exit_code(returncode: int) -> int:
    return returncode if returncode >= 0 else 128 - returncode


async def _end(
    process: asyncio.subprocess.Process | None, name: str, number: int = signal.SIGTERM
) -> None:
    """Ask it to end; kill it when it does not."""
    if process is None or process.returncode is not None:
        return
    process.send_signal(number)
    try:
        async with asyncio.timeout(KILL_AFTER_S):
            await process.wait()
    except TimeoutError:
        log.warning("process_killed", process=name, after_s=KILL_AFTER_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def is_ready_at_once() -> bool:
    """Say of an errand that nobody waits for it to serve."""
    return True


def unix_socket_answers(path: Path) -> IsReady:
    """Return a check whether somebody listens on the Unix socket."""

    async def is_ready() -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(str(path))
        except OSError:
            return False
        writer.close()
        return True

    return is_ready


def file_is_there(path: Path) -> IsReady:
    """Return a check whether the process has made a file that it makes at its first start."""

    async def is_ready() -> bool:
        return await asyncio.to_thread(path.is_file)

    return is_ready


def tcp_port_answers(host: str, port: int) -> IsReady:
    """Return a check whether somebody listens on the port."""

    async def is_ready() -> bool:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            return False
        writer.close()
        return True

    return is_ready
