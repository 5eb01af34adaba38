"""One turn's part of the log: each append is committed, then shown to watchers."""

from collections.abc import Callable, Sequence
from datetime import datetime
from operator import is_

import anyio

from hakoiri.host.conversations.event_feed import EventFeed
from hakoiri.host.conversations.ports import ConversationStore, StoreError
from hakoiri.wire.events import ConversationEvent, EventData


class TurnLog:
    """Appends to one turn. Raises `StoreError`; `NoTurnRunningError` after its last event.

    Each append follows the one before: `TurnTakenOverError` if somebody else has appended since.
    One whose answer was lost with the database may have been committed all the same: the next finds
    out, so that our own events are not taken for somebody else's, and the same ones, appended
    again, do not come twice.

    Any number of tasks may append: watchers are shown events in the order of their numbers.
    """

    def __init__(
        self,
        *,
        store: ConversationStore,
        feed: EventFeed,
        clock: Callable[[], datetime],
        message: ConversationEvent,
        last_event: int | None = None,
    ) -> None:
        """`last_event` is the log's newest, where it is not the turn's message."""
        self._store = store
        self._feed = feed
        self._clock = clock
        self._appending = anyio.Lock()
        self._unsettled: Sequence[EventData] = ()
        self.conversation_id = message.conversation_id
        self.turn = message.turn
        self.last_event = last_event or message.id

    async def append(self, *data: EventData, agent_seq: int | None = None) -> int:
        """Commit events in order, as one transaction, and wake the watchers.

        `agent_seq` is committed with them: up to which of its own numbers the agent was heard.
        Return the number of the last event.
        """
        if not data:
            return self.last_event
        async with self._appending:
            if await self._has_committed(data):
                return self.last_event
            try:
                added = await self._store.append(
                    conversation_id=self.conversation_id,
                    turn=self.turn,
                    events=data,
                    now=self._clock(),
                    agent_seq=agent_seq,
                    follows=self.last_event,
                )
            except StoreError:
                self._unsettled = data
                raise
            self._show(added)
        return added[-1].id

    async def _has_committed(self, data: Sequence[EventData]) -> bool:
        """Settle what became of the last append; whether it was of the same events, and is there.

        It was one transaction: if the first of its events is in the log, all are.
        """
        tried, is_same = self._unsettled, _are_same(self._unsettled, data)
        while self._unsettled:
            found = await self._store.read(
                conversation_id=self.conversation_id,
                after=self.last_event,
                limit=len(self._unsettled),
            )
            if not found or not all(map(self._is_own, found, self._unsettled)):
                self._unsettled = ()
                return False
            self._unsettled = self._unsettled[len(found) :]
            self._show(found)
        return bool(tried) and is_same

    def _is_own(self, found: ConversationEvent, data: EventData) -> bool:
        ours = ConversationEvent.of(
            number=found.id,
            time=found.time,
            conversation_id=self.conversation_id,
            turn=self.turn,
            data=data,
        )
        return found == ours

    def _show(self, added: Sequence[ConversationEvent]) -> None:
        self.last_event = added[-1].id
        self._feed.publish(added)


def _are_same(tried: Sequence[EventData], data: Sequence[EventData]) -> bool:
    """Whether they are the very same events, not only such as look like them."""
    return len(tried) == len(data) and all(map(is_, tried, data))
