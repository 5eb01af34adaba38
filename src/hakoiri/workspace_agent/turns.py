"""Turns one after the other: who runs, who may stop it, and how it ends."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import anyio

from hakoiri.wire.agent import BUFFER_LIMIT_BYTES, AgentOptions, RunTurn
from hakoiri.wire.events import AgentEvent, Error
from hakoiri.workspace_agent.errors import StoppingError, TurnRunningError, UnknownTurnError
from hakoiri.workspace_agent.turn_stream import TurnStream

INTERRUPT_GRACE_S: Final = 5.0
"""An agent that was interrupted says so within this time, or is stopped by force."""

STOP_INTERRUPT_GRACE_S: Final = 0.7
STOP_CLOSE_GRACE_S: Final = 0.4
"""Together with the server's own closing, under the two seconds after which we are killed."""

log = logging.getLogger(__name__)


class Agent(Protocol):
    """What runs a turn."""

    def run(self, request: RunTurn) -> AsyncGenerator[AgentEvent, None]:
        """Yield the turn's events, the last a `result` or `error`."""

    async def connect(self, options: AgentOptions) -> None:
        """Start the process that the first turn will need, and keep it waiting."""

    async def disconnect(self) -> None:
        """End that process and take away what it wrote, as if it had never been."""

    async def interrupt(self) -> None:
        """Ask the running turn to end; it then yields its last event."""

    async def close(self) -> None:
        """Let go of processes. The next turn starts them anew."""


@dataclass(slots=True, eq=False)
class _Turn:
    request: RunTurn
    stream: TurnStream
    interrupt_asked: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    """Set after the agent's cleaning up, which may take longer than the stream."""


@dataclass(slots=True, eq=False)
class _Errand:
    """Something to do before the first turn, in the task that the agent belongs to."""

    work: Callable[[Agent], Awaitable[None]]
    done: "asyncio.Future[None]"


class Turns:
    """Runs at most one turn at a time, in the task that calls `serve`."""

    def __init__(
        self,
        *,
        load_agent: Callable[[], Awaitable[Agent]],
        buffer_limit_bytes: int = BUFFER_LIMIT_BYTES,
        interrupt_grace_s: float = INTERRUPT_GRACE_S,
    ) -> None:
        """Get the agent from `load_agent` when serving begins; turns wait for it."""
        self._load_agent = load_agent
        self._buffer_limit_bytes = buffer_limit_bytes
        self._interrupt_grace_s = interrupt_grace_s
        self._last: _Turn | None = None
        self._waiting: asyncio.Queue[_Turn | _Errand] = asyncio.Queue()
        self._stopping = False

    @property
    def state(self) -> Literal["ready", "running", "stopping"]:
        """How the agent is, in the words of `AgentHealth`."""
        if self._stopping:
            return "stopping"
        return "ready" if self.running_turn_id is None else "running"

    @property
    def running_turn_id(self) -> str | None:
        """The turn that runs, if any: one whose stream has not ended."""
        if self._last is None or self._last.stream.has_ended:
            return None
        return self._last.stream.turn_id

    def check_unused(self) -> None:
        """Raise `TurnRunningError` if a turn runs, or ever ran: the box is a workspace's then."""
        if self._last is not None:
            raise TurnRunningError("a workspace lives here; that is for a container nobody had")

    async def connect(self, options: AgentOptions) -> None:
        """Start the agent's process ahead of the first turn, which waits for it.

        Raises `TurnRunningError`, `StoppingError`, or what the agent raises.
        """
        await self._do(lambda agent: agent.connect(options))

    async def disconnect(self) -> None:
        """Undo `connect`; raises likewise."""
        await self._do(lambda agent: agent.disconnect())

    async def _do(self, work: Callable[[Agent], Awaitable[None]]) -> None:
        self.check_unused()
        if self._stopping:
            raise StoppingError("the agent is stopping")
        errand = _Errand(work, asyncio.get_running_loop().create_future())
        self._waiting.put_nowait(errand)
        await errand.done

    def start(self, request: RunTurn) -> TurnStream:
        """Begin a turn; return its stream. Raises `TurnRunningError` or `StoppingError`."""
        if self._stopping:
            raise StoppingError("the agent is stopping; run the turn in another container")
        if self.running_turn_id is not None:
            raise TurnRunningError(
                f"turn {self.running_turn_id} runs; wait for its last event or interrupt it"
            )
        stream = TurnStream(request.turn_id, limit_bytes=self._buffer_limit_bytes)
        self._last = _Turn(request, stream)
        self._waiting.put_nowait(self._last)
        return stream

    def stream(self, turn_id: str) -> TurnStream:
        """Return the stream of the running or the last turn. Raises `UnknownTurnError`."""
        return self._find(turn_id).stream

    def interrupt(self, turn_id: str) -> None:
        """Ask the turn to end; nothing happens if it has. Raises `UnknownTurnError`."""
        self._find(turn_id).interrupt_asked.set()

    async def stop(self) -> None:
        """Take no more turns and end the running one; bounded in time."""
        self._stopping = True
        self._interrupt_grace_s = STOP_INTERRUPT_GRACE_S
        if self._last is not None:
            self._last.interrupt_asked.set()
            with anyio.move_on_after(STOP_INTERRUPT_GRACE_S + STOP_CLOSE_GRACE_S):
                await self._last.done.wait()

    async def serve(self) -> None:
        """Run turns until cancelled. The agent's processes belong to this task."""
        agent = await self._load_agent()
        try:
            while True:
                asked = await self._waiting.get()
                if isinstance(asked, _Errand):
                    await _run_errand(agent, asked)
                    continue
                try:
                    await self._run(agent, asked)
                finally:
                    asked.done.set()
        finally:
            with anyio.move_on_after(STOP_CLOSE_GRACE_S, shield=True):
                await agent.close()

    def _find(self, turn_id: str) -> _Turn:
        if self._last is None or self._last.stream.turn_id != turn_id:
            raise UnknownTurnError(f"turn {turn_id} is neither running nor the last one")
        return self._last

    async def _run(self, agent: Agent, turn: _Turn) -> None:
        async with asyncio.TaskGroup() as group:
            scope = anyio.CancelScope()
            watcher = group.create_task(
                self._watch_interrupt(agent, turn, scope), name="watch for an interrupt"
            )
            with scope:
                await _pump(agent, turn)
            watcher.cancel()
        if scope.cancelled_caught:
            await agent.close()
        if not turn.stream.has_ended:
            await turn.stream.put(_last_words(was_interrupted=turn.interrupt_asked.is_set()))

    async def _watch_interrupt(self, agent: Agent, turn: _Turn, scope: anyio.CancelScope) -> None:
        await turn.interrupt_asked.wait()
        try:
            async with asyncio.timeout(self._interrupt_grace_s):
                await agent.interrupt()
                await turn.done.wait()
        except Exception as error:  # noqa: BLE001 - the SDK raises bare exceptions too
            log.warning("the agent did not end by itself, so it is stopped by force: %r", error)
        scope.cancel()


async def _run_errand(agent: Agent, errand: _Errand) -> None:
    try:
        await errand.work(agent)
    except Exception as error:  # noqa: BLE001 - told to who asked; the agent serves on
        if not errand.done.done():
            errand.done.set_exception(error)
    else:
        if not errand.done.done():
            errand.done.set_result(None)


async def _pump(agent: Agent, turn: _Turn) -> None:
    """Carry the agent's events into the stream, and let the agent clean up after its last."""
    try:
        async with aclosing(agent.run(turn.request)) as events:
            async for event in events:
                if not turn.stream.has_ended:
                    await turn.stream.put(event)
    except Exception as error:
        log.exception("the turn failed")
        await agent.close()
        if not turn.stream.has_ended:
            text = f"The agent failed: {error!r}"[:4096]
            await turn.stream.put(Error(code="agent-failed", text=text))


def _last_words(*, was_interrupted: bool) -> Error:
    if was_interrupted:
        return Error(code="interrupted", text="The turn was interrupted.", retryable=True)
    return Error(
        code="agent-failed", text="The agent stopped without an answer; try again.", retryable=True
    )
