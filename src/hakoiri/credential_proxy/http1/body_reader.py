"""The body of one message, read as it arrives."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

HIGH_WATER_BYTES: Final = 512 * 1024
"""More unread bytes than these, and the sender is asked to wait."""

LOW_WATER_BYTES: Final = 256 * 1024
"""No more unread bytes than these, and a sender that waits is asked to go on."""

JOINED_BYTES: Final = 64 * 1024
"""Pieces are joined up to this size; a larger one is given as it came, since copying it costs more
than another write."""

_EMPTY: Final[tuple[tuple[str, str], ...]] = ()


class BodyReader:
    """Chunks go in from a parser and come out to one reader.

    `hold` is called when too much is unread, `release` when it was read, and `before_wait` each
    time the reader must wait for bytes.
    """

    __slots__ = (
        "_before_wait",
        "_chunks",
        "_error",
        "_hold",
        "_is_done",
        "_is_held",
        "_release",
        "_size_bytes",
        "_waiter",
        "trailers",
    )

    def __init__(
        self,
        *,
        hold: Callable[[], None],
        release: Callable[[], None],
        before_wait: Callable[[], None],
    ) -> None:
        self._hold = hold
        self._release = release
        self._before_wait = before_wait
        self._chunks: deque[bytes] = deque()
        self._size_bytes = 0
        self._is_held = False
        self._is_done = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.trailers: tuple[tuple[str, str], ...] = _EMPTY

    @property
    def is_done(self) -> bool:
        """Whether all bytes have arrived, read or not."""
        return self._is_done

    @property
    def is_held(self) -> bool:
        """Whether the sender waits until more was read."""
        return self._is_held

    @property
    def is_waiting(self) -> bool:
        """Whether the reader waits for bytes."""
        return self._waiter is not None

    def feed(self, chunk: bytes) -> None:
        """Take a chunk that arrived."""
        self._chunks.append(chunk)
        self._size_bytes += len(chunk)
        if self._size_bytes > HIGH_WATER_BYTES and not self._is_held:
            self._is_held = True
            self._hold()
        if self._waiter is not None:
            self._wake()

    def finish(self) -> None:
        """No more chunks come."""
        self._is_done = True
        if self._waiter is not None:
            self._wake()

    def fail(self, error: Exception) -> None:
        """The body is not whole; the reader gets `error` once it has read what came before."""
        if self._is_done or self._error is not None:
            return
        self._error = error
        if self._waiter is not None:
            self._wake()

    def take_all(self) -> bytes | None:
        """Return the whole body when all of it has arrived and is not worth reading in pieces."""
        is_small = self._size_bytes <= JOINED_BYTES
        return self._take() if self._is_done and is_small else None

    async def read(self) -> bytes:
        """Return the next piece, waiting for at least a byte; empty at the end.

        Raises:
            Exception: what `fail` was called with.
        """
        while not self._chunks:
            if self._is_done:
                return b""
            if self._error is not None:
                raise self._error
            self._before_wait()
            waiter = self._waiter = asyncio.get_running_loop().create_future()
            try:
                await waiter
            finally:
                self._waiter = None
        return self._take()

    def _take(self) -> bytes:
        chunks = self._chunks
        if len(chunks) == 1:
            taken = chunks.popleft()
        elif self._size_bytes <= JOINED_BYTES:
            taken = b"".join(chunks)
            chunks.clear()
        else:
            taken = self._take_some()
        self._size_bytes -= len(taken)
        if self._is_held and self._size_bytes <= LOW_WATER_BYTES:
            self._is_held = False
            self._release()
        return taken

    def _take_some(self) -> bytes:
        chunks = self._chunks
        taken = [chunks.popleft()]
        size_bytes = len(taken[0])
        while chunks and size_bytes + len(chunks[0]) <= JOINED_BYTES:
            size_bytes += len(chunks[0])
            taken.append(chunks.popleft())
        return b"".join(taken) if len(taken) > 1 else taken[0]

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
