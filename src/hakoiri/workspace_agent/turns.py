"""Turns one after the other: who runs, who may stop it, and how it ends."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final, Literal, Protocol

import anyio

from hakoiri.wire.agent import BUFFER_LIMIT_BYTES, RunTurn
from hakoiri.wire.events import TERMINAL_TYPES, AgentEvent, Error
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

    async def interrupt(self) -> None:
        """Ask the running turn to end; it then yields its last event."""

    async def close(self) -> None:
        """Let go of processes. The next turn starts them anew."""


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
        self._agent: Agent | None = None
        self._last: TurnStream | None = None
        self._waiting: asyncio.Queue[tuple[RunTurn, TurnStream]] = asyncio.Queue(maxsize=1)
        self._interrupt_asked = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._scope: anyio.CancelScope | None = None
        self._stopping = False

    @property
    def state(self) -> Literal["ready", "running", "stopping"]:
        """How the agent is, in the words of `AgentHealth`."""
        if self._stopping:
            return "stopping"
        return "ready" if self._idle.is_set() else "running"

    @property
    def running_turn_id(self) -> str | None:
        """The turn that runs, if any."""
        return None if self._idle.is_set() or self._last is None else self._last.turn_id

    def start(self, request: RunTurn) -> TurnStream:
        """Begin a turn; return its stream. Raises `TurnRunningError` or `StoppingError`."""
        if self._stopping:
            raise StoppingError("the agent is stopping; run the turn in another container")
        if not self._idle.is_set():
            raise TurnRunningError(
                f"turn {self.running_turn_id} runs; wait for its last event or interrupt it"
            )
        stream = TurnStream(request.turn_id, limit_bytes=self._buffer_limit_bytes)
        self._last = stream
        self._interrupt_asked.clear()
        self._idle.clear()
        self._waiting.put_nowait((request, stream))
        return stream

    def stream(self, turn_id: str) -> TurnStream:
        """Return the stream of the running or the last turn. Raises `UnknownTurnError`."""
        if self._last is None or self._last.turn_id != turn_id:
            raise UnknownTurnError(f"turn {turn_id} is neither running nor the last one")
        return self._last

    def interrupt(self, turn_id: str) -> None:
        """Ask the turn to end; nothing happens if it has ended. Raises `UnknownTurnError`."""
        if not self.stream(turn_id).has_ended:
            self._interrupt_asked.set()

    async def stop(self) -> None:
        """Take no more turns, end the running one, let go of the agent; bounded in time."""
        self._stopping = True
        if not self._idle.is_set():
            self._interrupt_grace_s = STOP_INTERRUPT_GRACE_S
            self._interrupt_asked.set()
            with anyio.move_on_after(STOP_INTERRUPT_GRACE_S + STOP_CLOSE_GRACE_S):
                await self._idle.wait()

    async def serve(self) -> None:
        """Run turns until cancelled. The agent's processes belong to this task."""
        self._agent = await self._load_agent()
        try:
            while True:
                request, stream = await self._waiting.get()
                try:
                    await self._run(self._agent, request, stream)
                finally:
                    self._idle.set()
        finally:
            with anyio.move_on_after(STOP_CLOSE_GRACE_S, shield=True):
                await self._agent.close()

    async def _run(self, agent: Agent, request: RunTurn, stream: TurnStream) -> None:
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(self._watch_interrupt(agent), name="interrupt")
            with anyio.CancelScope() as scope:
                self._scope = scope
                await self._pump(agent, request, stream)
            watcher.cancel()
        if scope.cancelled_caught:
            await agent.close()
        if not stream.has_ended:
            await stream.put(_last_words(interrupted=self._interrupt_asked.is_set()))

    async def _pump(self, agent: Agent, request: RunTurn, stream: TurnStream) -> None:
        try:
            async with aclosing(agent.run(request)) as events:
                async for event in events:
                    await stream.put(event)
                    if event.type in TERMINAL_TYPES:
                        return
        except Exception as error:
            log.exception("the turn failed")
            await agent.close()
            await stream.put(Error(code="agent-failed", text=f"The agent failed: {error!r}"[:4096]))

    async def _watch_interrupt(self, agent: Agent) -> None:
        await self._interrupt_asked.wait()
        with anyio.move_on_after(self._interrupt_grace_s):
            try:
                await agent.interrupt()
                await self._idle.wait()
            except Exception:
                log.exception("the interrupt was not taken; the agent is stopped by force")
        if self._scope is not None:
            self._scope.cancel()


def _last_words(*, interrupted: bool) -> Error:
    if interrupted:
        return Error(code="interrupted", text="The turn was interrupted.", retryable=True)
    return Error(
        code="agent-failed", text="The agent stopped without an answer; try again.", retryable=True
    )
