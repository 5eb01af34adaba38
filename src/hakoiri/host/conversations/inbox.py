"""A bounded inbox between who receives events and who commits them.

Whatever has arrived while a commit went on is taken at once and makes the next one. When the inbox
is full, the receiver waits: a flood costs bounded memory.
"""

from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from typing import Any, Final, Generic, TypeVar

import anyio

Item = TypeVar("Item")

LIMIT_BYTES: Final = 1024 * 1024
LIMIT_ITEMS: Final = 512


class Inbox(Generic[Item]):
    """One putter, one taker. Holds up to the limits, and one item of any size beyond them."""

    def __init__(self, *, limit_bytes: int = LIMIT_BYTES, limit_items: int = LIMIT_ITEMS) -> None:
        self._limit_bytes = limit_bytes
        self._limit_items = limit_items
        self._items: list[Item] = []
        self._size_bytes = 0
        self._is_closed = False
        self._failure: Exception | None = None
        self._changed = anyio.Condition()

    async def put(self, item: Item, *, size_bytes: int) -> None:
        """Add an item; wait while the inbox is full."""
        async with self._changed:
            while self._size_bytes >= self._limit_bytes or len(self._items) >= self._limit_items:
                await self._changed.wait()
            self._items.append(item)
            self._size_bytes += size_bytes
            self._changed.notify_all()

    async def close(self, failure: Exception | None = None) -> None:
        """Say that nothing follows, and why if it should have."""
        async with self._changed:
            self._is_closed = True
            self._failure = failure
            self._changed.notify_all()

    async def take(self) -> list[Item]:
        """Return all that has arrived, waiting for the first; empty once closed and drained."""
        async with self._changed:
            while not self._items and not self._is_closed:
                await self._changed.wait()
            items, self._items, self._size_bytes = self._items, [], 0
            self._changed.notify_all()
            return items

    @property
    def failure(self) -> Exception | None:
        """Why the inbox was closed early."""
        return self._failure


def closing(source: Any) -> AbstractAsyncContextManager[Any]:
    """Close an iterator that can be closed when its receiver ends, not when memory is short."""
    return aclosing(source) if hasattr(source, "aclose") else nullcontext()
