"""Live fan-out of event logs: any number of watchers, none of which can slow a turn.

The log in the store is the truth. A watcher pulls from it at its own pace; `publish` only wakes the
watchers of a conversation and leaves the newest events in a small shared tail, so that a thousand
watchers who keep up cost one read of the store rather than a thousand. A watcher who falls behind
the tail reads from the store again. Memory: one page a watcher, one tail a watched conversation.
"""

from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final
from weakref import WeakValueDictionary

import anyio

from hakoiri.host.conversations.ports import (
    ConversationStore,
    ServerStoppingError,
    StoreError,
)
from hakoiri.wire.events import ConversationEvent
from hakoiri.wire.terminal_types import TERMINAL_TYPES

PAGE_LIMIT_EVENTS: Final = 256
TAIL_LIMIT_EVENTS: Final = 256
TAIL_LIMIT_CHARS: Final = 1_000_000

Recorded = Callable[[Sequence[ConversationEvent]], None]


class EventFeed:
    """Wakes the watchers of a conversation when its log grows."""

    def __init__(self, *, store: ConversationStore, recorded: Recorded = lambda _: None) -> None:
        """`recorded` is told of all that is published, once."""
        self._store = store
        self._recorded = recorded
        # A channel lives as long as somebody watches it.
        self._channels: WeakValueDictionary[str, _Channel] = WeakValueDictionary()
        self._watchers = 0
        self._is_stopping = False

    @property
    def watchers(self) -> int:
        """How many watch a conversation now."""
        return self._watchers

    def publish(self, events: Sequence[ConversationEvent]) -> None:
        """Tell watchers that these events, in order and of one conversation, are committed."""
        self._recorded(events)
        if events and (channel := self._channels.get(events[0].conversation_id)):
            channel.extend(events)

    def wake(self, conversation_id: str) -> None:
        """Tell watchers that the log has grown elsewhere: they read it from the store."""
        if channel := self._channels.get(conversation_id):
            channel.wake()

    def wake_all(self) -> None:
        """Tell all watchers that their logs may have grown."""
        for channel in list(self._channels.values()):
            channel.wake()

    def close(self, conversation_id: str) -> None:
        """End all watching of a conversation that is gone."""
        if channel := self._channels.get(conversation_id):
            channel.close()

    def stop(self) -> None:
        """End all watching, now and from now on: this server is going, the logs stay."""
        self._is_stopping = True
        self.wake_all()

    async def pages(
        self, conversation_id: str, *, after: int, idle_timeout_s: float | None = None
    ) -> AsyncGenerator[Sequence[ConversationEvent], None]:
        """Yield what comes after event `after`: first the past, then live, in order and gapless.

        An empty page means that nothing came for `idle_timeout_s`. Ends only when the conversation
        is deleted. Raises `ServerStoppingError` after a whole page. A store that is away is asked
        again after `idle_timeout_s`; without one, `StoreError` is raised.
        """
        channel = self._channels.get(conversation_id)
        if channel is None:
            channel = self._channels[conversation_id] = _Channel()
        self._watchers += 1
        try:
            while True:
                if self._is_stopping:
                    raise ServerStoppingError("the server is stopping; watch on when it is back")
                grown = channel.grown
                try:
                    page = channel.newer_than(after) or await self._store.read(
                        conversation_id=conversation_id, after=after, limit=PAGE_LIMIT_EVENTS
                    )
                except StoreError:
                    if idle_timeout_s is None:
                        raise
                    page = ()  # who watches stays: the end of the turn is recorded afterwards
                if page:
                    after = page[-1].id
                    yield page
                    continue
                if channel.closed:
                    return
                with anyio.move_on_after(idle_timeout_s) as waiting:
                    await grown.wait()
                if waiting.cancelled_caught:
                    yield ()
        finally:
            self._watchers -= 1

    async def follow(
        self, conversation_id: str, *, after: int, until_turn: int | None = None
    ) -> AsyncGenerator[ConversationEvent, None]:
        """Yield event by event; with `until_turn`, stop after that turn's last event."""
        async with aclosing(self.pages(conversation_id, after=after)) as pages:
            async for page in pages:
                for event in page:
                    yield event
                    if until_turn is not None and is_end_of_turn(event, until_turn):
                        return


def is_end_of_turn(event: ConversationEvent, turn: int) -> bool:
    """Whether no event of `turn` can follow this one."""
    return event.turn > turn or (event.turn == turn and event.type in TERMINAL_TYPES)


class _Channel:
    """What the watchers of one conversation share."""

    def __init__(self) -> None:
        self.grown = anyio.Event()
        self.closed = False
        self._tail: deque[tuple[ConversationEvent, int]] = deque()
        self._tail_chars = 0

    def extend(self, events: Sequence[ConversationEvent]) -> None:
        # Two writers may publish in another order than they committed; a tail with a gap or a
        # repetition would show, so it is dropped and the store is read.
        if self._tail and events[0].id != self._tail[-1][0].id + 1:
            self._tail.clear()
            self._tail_chars = 0
        else:
            for event in events:
                chars = len(str(event.data))
                self._tail.append((event, chars))
                self._tail_chars += chars
            while len(self._tail) > TAIL_LIMIT_EVENTS or self._tail_chars > TAIL_LIMIT_CHARS:
                self._tail_chars -= self._tail.popleft()[1]
        self.wake()

    def close(self) -> None:
        self.closed = True
        self.wake()

    def newer_than(self, after: int) -> list[ConversationEvent]:
        if not self._tail or self._tail[0][0].id > after + 1:
            return []
        return [event for event, _ in self._tail if event.id > after]

    def wake(self) -> None:
        self.grown.set()
        self.grown = anyio.Event()
