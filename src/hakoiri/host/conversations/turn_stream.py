"""Reading one turn from an agent that nobody trusts: order, silence, reconnection, recording.

Events count from 1 without gaps. An event is acknowledged once it is recorded, and after a broken
stream reading resumes after the last recorded one, so none is lost and none comes twice. An agent
that is silent is asked how it is: one that thinks may be silent for long, one that is hung or
frozen does not answer and counts as a broken stream.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import anyio
from pydantic_core import PydanticSerializationError

from hakoiri.host.containers.ports import (
    AgentConnection,
    AgentProtocolError,
    AgentUnreachableError,
    ContainersError,
    UnknownTurnError,
)
from hakoiri.host.conversations.failures import AgentSilentError
from hakoiri.host.conversations.inbox import Inbox, closing
from hakoiri.host.conversations.model import TurnLimits
from hakoiri.wire.agent import RunTurn
from hakoiri.wire.events import AgentEvent, Error, EventData, Result, SessionStarted

RECONNECT_LIMIT: Final = 3
"""So often a turn's stream may break without an event between; then the container is lost."""

ACKNOWLEDGE_TIMEOUT_S: Final = 5

Numbered = tuple[int, AgentEvent]


class TurnStream:
    """One turn of one agent. `record` commits events; the terminal one is returned unrecorded."""

    def __init__(
        self,
        *,
        agent: AgentConnection,
        request: RunTurn,
        record: Callable[[Sequence[EventData], int], Awaitable[None]],
        remember_session: Callable[[str], Awaitable[None]],
        limits: TurnLimits,
        resume_after: int | None = None,
    ) -> None:
        """`record` is also given up to which number the agent is heard with these events.

        With `resume_after` the turn runs already, and is read on after that number.
        """
        self._agent = agent
        self._request = request
        self._record = record
        self._remember_session = remember_session
        self._limits = limits
        self._recorded = resume_after or 0
        self._is_begun = resume_after is not None
        self._arrivals = 0

    async def run(self) -> Result | Error:
        """Run the turn and return its terminal event.

        Raises `AgentUnreachableError` when the stream broke too often, `AgentProtocolError`,
        `AgentSilentError`, `StoreError`.
        """
        source = self._resume() if self._is_begun else self._agent.run_turn(self._request)
        attempt, heard = 0, self._recorded
        while attempt < RECONNECT_LIMIT:
            attempt += 1
            try:
                return await self._read(source)
            except UnknownTurnError:
                if not self._is_begun or self._recorded > 0:
                    raise
                # it was about to be given the turn when the server before us went away
                self._is_begun = False
                source = self._agent.run_turn(self._request)
                continue
            except AgentUnreachableError:
                if self._recorded > heard:
                    attempt, heard = 1, self._recorded
                await anyio.sleep(self._limits.retry_pause_s * attempt)
            source = self._resume()
        return await self._read(source)

    def _resume(self) -> AsyncIterator[Numbered]:
        return self._agent.resume_stream(self._request.turn_id, after=self._recorded)

    async def _read(self, source: AsyncIterator[Numbered]) -> Result | Error:
        """Read one connection to its end; what arrived is recorded before a failure is told."""
        inbox: Inbox[Numbered] = Inbox()
        terminal: Result | Error | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._receive, source, inbox)
            group.start_soon(self._ask_while_silent, inbox)
            while terminal is None and (batch := await inbox.take()):
                terminal = await self._take(batch)
            group.cancel_scope.cancel()
        if terminal is not None:
            return terminal
        raise inbox.failure or AgentUnreachableError("the agent's stream ended before its turn")

    async def _receive(self, source: AsyncIterator[Numbered], inbox: Inbox[Numbered]) -> None:
        expected = self._recorded + 1
        try:
            async with closing(source):
                while (arrived := await self._next(source)) is not None:
                    number, event = arrived
                    if number != expected:
                        raise AgentProtocolError(f"event {number} came, not {expected}")
                    await inbox.put(arrived, size_bytes=_weigh(event))
                    expected += 1
                    self._arrivals += 1
        except ContainersError as error:
            await inbox.close(error)
        else:
            await inbox.close()

    async def _ask_while_silent(self, inbox: Inbox[Numbered]) -> None:
        while True:
            before = self._arrivals
            await anyio.sleep(self._limits.ask_after_s)
            if self._arrivals == before:
                try:
                    await self._agent.health()
                except ContainersError as error:
                    await inbox.close(error)
                    return

    async def _next(self, source: AsyncIterator[Numbered]) -> Numbered | None:
        limit_s = self._limits.silence_timeout_s
        with anyio.move_on_after(limit_s):
            return await anext(source, None)
        raise AgentSilentError(f"the agent said nothing for {limit_s:g} s")

    async def _take(self, batch: Sequence[Numbered]) -> Result | Error | None:
        data: list[EventData] = []
        terminal: Result | Error | None = None
        taken = self._recorded
        for number, event in batch:
            if isinstance(event, (Result, Error)):
                terminal = event
                break
            if isinstance(event, SessionStarted):
                await self._remember_session(event.session_id)
            else:
                data.append(event)
            taken = number
        if data:
            await self._record(data, taken)
        self._recorded = taken
        await self._acknowledge()
        return terminal

    async def _acknowledge(self) -> None:
        # An agent that does not hear it keeps its buffer; the stream itself shows if it is gone.
        with anyio.move_on_after(ACKNOWLEDGE_TIMEOUT_S):
            try:
                await self._agent.acknowledge(self._request.turn_id, self._recorded)
            except ContainersError:
                return


def _weigh(event: AgentEvent) -> int:
    try:
        return len(event.model_dump_json())
    except PydanticSerializationError as error:
        raise AgentProtocolError("an event's text is not Unicode") from error
