"""One turn's part of the log: each append is committed, then shown to watchers."""

from collections.abc import Callable
from datetime import datetime

import anyio

from hakoiri.host.conversations.event_feed import EventFeed
from hakoiri.host.conversations.ports import ConversationStore
from hakoiri.wire.events import ConversationEvent, EventData


class TurnLog:
    """Appends to one turn. Raises `StoreError`; `NoTurnRunningError` after its last event.

    Each append follows the one before: `TurnTakenOverError` if somebody else has appended since.

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
            added = await self._store.append(
                conversation_id=self.conversation_id,
                turn=self.turn,
                events=data,
                now=self._clock(),
                agent_seq=agent_seq,
                follows=self.last_event,
            )
            self.last_event = added[-1].id
            self._feed.publish(added)
        return added[-1].id
