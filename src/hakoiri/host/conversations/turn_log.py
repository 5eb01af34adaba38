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
        last_event: int | None = None,
    ) -> None:
        """`last_event` is the log's newest, where it is not the turn's message."""
        self._store = store
        self._feed = feed
        self._clock = clock
        self.conversation_id = message.conversation_id
        self.turn = message.turn
        self.last_event = last_event or message.id

    async def append(self, *data: EventData, agent_seq: int | None = None) -> None:
        """Commit events in order, as one transaction, and wake the watchers.

        `agent_seq` is committed with them: up to which of its own numbers the agent was heard.
        """
        if not data:
            return
        added = await self._store.append(
            conversation_id=self.conversation_id,
            turn=self.turn,
            events=data,
            now=self._clock(),
            agent_seq=agent_seq,
        )
        self.last_event = added[-1].id
        self._feed.publish(added)
