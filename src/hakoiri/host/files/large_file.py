"""Reads one large file in blocks of pieces, in bounded memory, and tells whether it held still.

All of it runs in worker threads.
"""

import hashlib
import os
from collections.abc import Callable

from hakoiri.host.files.packs import PACK_BYTES
from hakoiri.host.files.pieces import MOST_BYTES, Block, cut

WINDOW_BYTES = PACK_BYTES + MOST_BYTES
"""Read at once: what is cut from it is a pack already, and need not be put together."""


class LargeFile:
    """An admitted open file of `size` bytes; `close` it. `is_same` compares it with how it was.

    With `start` it is the part of a file that begins there.
    """

    def __init__(
        self, descriptor: int, size: int, *, is_same: Callable[[], bool], start: int = 0
    ) -> None:
        self._descriptor = descriptor
        self._start = start
        self._size = size
        self._is_same = is_same
        self._cut_bytes = 0
        self._digest = hashlib.sha256()
        self._is_cut_short = False

    def next_block(self) -> Block | None:
        """Return the next pieces with their hashes, None at the end. `OSError` as read(2).

        But for the file's last, a block has at least the bytes of a pack. What lies behind its last
        cut is read once more with the next one, which costs less than keeping it.
        """
        if self._cut_bytes >= self._size:
            return None
        window = self._read_window()
        lengths = cut(window, is_last=self._cut_bytes + len(window) >= self._size)
        plain = window[: sum(lengths)]
        self._digest.update(plain)
        self._cut_bytes += len(plain)
        return Block(plain, _hashed(plain, lengths)) if plain else None

    def digest(self) -> str | None:
        """Return the hash of all that was read; None if the file changed meanwhile."""
        if self._is_cut_short or not self._is_same():
            return None
        return self._digest.hexdigest()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _read_window(self) -> bytes:
        wanted = min(WINDOW_BYTES, self._size - self._cut_bytes)
        window = self._pread(wanted, 0)
        while len(window) < wanted and (more := self._pread(wanted - len(window), len(window))):
            window += more
        if len(window) < wanted:
            self._is_cut_short = True
            self._size = self._cut_bytes + len(window)
        return window

    def _pread(self, wanted: int, ahead: int) -> bytes:
        return os.pread(self._descriptor, wanted, self._start + self._cut_bytes + ahead)


def _hashed(plain: bytes, lengths: list[int]) -> list[tuple[str, int]]:
    view = memoryview(plain)
    cuts: list[tuple[str, int]] = []
    offset = 0
    for length in lengths:
        piece = view[offset : offset + length]
        cuts.append((hashlib.sha256(piece).hexdigest(), length))
        offset += length
    return cuts
