"""One turn's numbered events, kept until acknowledged, bounded in bytes. No I/O, no waiting."""

from collections import deque
from dataclasses import dataclass

from hakoiri.wire.events import AgentEvent
from hakoiri.wire.sse import encode_block
from hakoiri.wire.terminal_types import TERMINAL_TYPES
from hakoiri.workspace_agent.errors import EventsForgottenError


@dataclass(frozen=True, slots=True)
class NumberedEvent:
    """One event as it goes over the wire; `number` counts from 1 within the turn."""

    number: int
    block: bytes


class TurnBuffer:
    """Numbers events, keeps them until they are acknowledged, and tells when there is no room.

    A single event that is larger than the limit is taken when nothing else is kept: events are
    bounded one by one, so that the buffer is bounded too.
    """

    def __init__(self, *, limit_bytes: int) -> None:
        """Keep at most `limit_bytes` of unacknowledged blocks, or one block."""
        self._limit_bytes = limit_bytes
        self._kept: deque[NumberedEvent] = deque()
        self._kept_bytes = 0
        self._last = 0
        self._ended = False

    @property
    def has_ended(self) -> bool:
        """A `result` or `error` was appended; nothing may follow it."""
        return self._ended

    @property
    def last_number(self) -> int:
        """The number of the newest event, 0 before the first."""
        return self._last

    @property
    def forgotten(self) -> int:
        """Events up to this number were acknowledged and are gone."""
        return self._kept[0].number - 1 if self._kept else self._last

    def has_room_for(self, event: AgentEvent) -> bool:
        """Tell if the event fits now."""
        return self._fits(self._encode(event))

    def append(self, event: AgentEvent) -> NumberedEvent:
        """Number and keep the event. Raises `ValueError` after the end, `BufferError` if full."""
        if self._ended:
            raise ValueError(f"{event.type} after the turn's last event")
        encoded = self._encode(event)
        if not self._fits(encoded):
            raise BufferError("no room; ask `has_room_for` first")
        self._kept.append(encoded)
        self._kept_bytes += len(encoded.block)
        self._last = encoded.number
        self._ended = event.type in TERMINAL_TYPES
        return encoded

    def acknowledge(self, number: int) -> None:
        """Forget events up to `number`; one that was never sent acknowledges no more than all."""
        while self._kept and self._kept[0].number <= number:
            self._kept_bytes -= len(self._kept.popleft().block)

    def next_after(self, number: int) -> NumberedEvent | None:
        """Return the event that follows `number`, None if it has not happened yet.

        Raises `EventsForgottenError` if it was acknowledged.
        """
        if number < self.forgotten:
            raise EventsForgottenError(
                f"events up to {self.forgotten} were acknowledged; ask for those after it"
            )
        index = number - self.forgotten
        return self._kept[index] if index < len(self._kept) else None

    def _encode(self, event: AgentEvent) -> NumberedEvent:
        number = self._last + 1
        data = event.model_dump_json()
        return NumberedEvent(number, encode_block(number=number, event=event.type, data=data))

    def _fits(self, encoded: NumberedEvent) -> bool:
        return not self._kept or self._kept_bytes + len(encoded.block) <= self._limit_bytes
