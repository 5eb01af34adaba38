"""A turn's buffer with those who wait on it: one writer, many readers."""

import asyncio
from collections.abc import AsyncGenerator

from hakoiri.wire.events import AgentEvent
from hakoiri.workspace_agent.errors import EventsForgottenError
from hakoiri.workspace_agent.turn_buffer import NumberedEvent, TurnBuffer


class TurnStream:
    """Lets the writer wait for room, and readers for events."""

    def __init__(self, turn_id: str, *, limit_bytes: int) -> None:
        """Hold the events of turn `turn_id`."""
        self.turn_id = turn_id
        self._buffer = TurnBuffer(limit_bytes=limit_bytes)
        self._changed = asyncio.Condition()

    @property
    def has_ended(self) -> bool:
        """The turn's last event is there."""
        return self._buffer.has_ended

    async def put(self, event: AgentEvent) -> None:
        """Append the event; wait while the buffer is full, so that nothing is lost."""
        async with self._changed:
            while not self._buffer.has_room_for(event):
                await self._changed.wait()
            self._buffer.append(event)
            self._changed.notify_all()

    async def acknowledge(self, number: int) -> None:
        """Forget events up to `number`."""
        async with self._changed:
            self._buffer.acknowledge(number)
            self._changed.notify_all()

    def check_readable(self, *, after: int) -> None:
        """Raise `EventsForgottenError` if events after `after` are gone."""
        self._buffer.next_after(after)

    async def read(
        self, *, after: int, idle_s: float
    ) -> AsyncGenerator[NumberedEvent | None, None]:
        """Yield the events after `after` as they happen, to the turn's last.

        Yields None whenever nothing happened for `idle_s`. Ends early when another reader
        acknowledged what this one had not read: it has fallen behind, and must ask again from where
        the host is.
        """
        position = after
        while True:
            try:
                event = self._buffer.next_after(position)
            except EventsForgottenError:
                return
            if event is not None:
                yield event
                position = event.number
            elif self._buffer.has_ended:
                return
            elif not await self._wait_for_more(position, idle_s):
                yield None

    async def _wait_for_more(self, position: int, idle_s: float) -> bool:
        try:
            async with asyncio.timeout(idle_s), self._changed:
                await self._changed.wait_for(lambda: self._buffer.last_number > position)
        except TimeoutError:
            return False
        return True
