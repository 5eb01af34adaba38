"""One turn's part of the log: each append is committed, then shown to watchers."""

from collections.abc import Callable
from datetime import datetime

from hakoiri.host.conversations.event_feed import EventFeed
from hakoiri.host.conversations.ports import ConversationStore
from hakoiri.wire.events import ConversationEvent, EventData


class TurnLog:
    """Appends to one turn. Raises `StoreError`; `NoTurnRunningError` after its last event."""

    def __init__(
        self,
        *,
        store: ConversationStore,
        feed: EventFeed,
        clock: Callable[[], datetime],
        message: ConversationEvent,
    ) -> None:
        self._store = store
        self._feed = feed
        self._clock = clock
        self.conversation_id = message.conversation_id
        self.turn = message.turn
        self.last_event = message.id

    async def append(self, *data: EventData) -> None:
        """Commit events in order, as one transaction, and wake the watchers."""
        if not data:
            return
        added = await self._store.append(
            conversation_id=self.conversation_id, turn=self.turn, events=data, now=self._clock()
        )
        self.last_event = added[-1].id
        self._feed.publish(added)
