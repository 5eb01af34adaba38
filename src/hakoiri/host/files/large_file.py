"""Reads one large file in pieces, in bounded memory, and tells whether it held still meanwhile.

All of it runs in worker threads.
"""

import hashlib
import os
from collections.abc import Callable

from hakoiri.host.files.pieces import cut

WINDOW_BYTES = 4 * 1024 * 1024


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
        self._read_bytes = 0
        self._rest = b""
        self._digest = hashlib.sha256()
        self._is_cut_short = False

    def next_pieces(self) -> list[tuple[str, bytes]]:
        """Return the next pieces with their hashes; none at the end. `OSError` as read(2)."""
        pieces: list[tuple[str, bytes]] = []
        while not pieces and (self._read_bytes < self._size or self._rest):
            window = self._read_window()
            self._digest.update(window)
            content = self._rest + window
            is_last = self._read_bytes >= self._size
            used = 0
            for piece in cut(content, is_last=is_last):
                pieces.append((hashlib.sha256(piece).hexdigest(), piece))
                used += len(piece)
            self._rest = content[used:]
        return pieces

    def digest(self) -> str | None:
        """Return the hash of all that was read; None if the file changed meanwhile."""
        if self._is_cut_short or not self._is_same():
            return None
        return self._digest.hexdigest()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _pread(self, wanted: int) -> bytes:
        return os.pread(self._descriptor, wanted, self._start + self._read_bytes)

    def _read_window(self) -> bytes:
        wanted = min(WINDOW_BYTES, self._size - self._read_bytes)
        window = self._pread(wanted) if wanted else b""
        if wanted and not window:
            self._is_cut_short = True
            self._size = self._read_bytes
        self._read_bytes += len(window)
        return window
