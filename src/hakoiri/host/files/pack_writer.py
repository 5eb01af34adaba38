"""Puts pieces of files into packs, and the packs into the store."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from hakoiri.host.files.keys import pack_key
from hakoiri.host.files.pack_codec import seal
from hakoiri.host.files.packs import PACK_BYTES, Known, Pack, Part
from hakoiri.host.files.ports import ObjectStore
from hakoiri.host.files.worker_thread import first_of_many, run_in_thread

PACKS_AT_ONCE = 8
"""Packs of large files in flight: 5 MiB each, and three times that in those just being packed."""

Piece = tuple[str, bytes]
"""A piece's hash, and its bytes."""


class PackWriter:
    """Writes one tenant's packs. `known` is what needs no sending; it grows with what was sent.

    `stored_bytes` counts the bytes of the pieces that were sent. Errors are the store's.
    """

    def __init__(self, *, store: ObjectStore, tenant: str, known: Known) -> None:
        self._store = store
        self._tenant = tenant
        self._known = known
        self._room = asyncio.Semaphore(PACKS_AT_ONCE)
        self.stored_bytes = 0

    async def store(self, pieces: list[Piece]) -> list[Part]:
        """Store pieces as one pack; return where each lies.

        The list is emptied once they are packed: what waits for the store is in memory once.
        """
        if not pieces:
            return []
        pack, stored = await run_in_thread(partial(_seal_pieces, pieces))
        lengths = [(sha256, len(piece)) for sha256, piece in pieces]
        pieces.clear()
        await self._store.put(pack_key(self._tenant, pack.id), stored)
        self.stored_bytes += pack.plain_size
        parts: list[Part] = []
        offset = 0
        for sha256, length in lengths:
            parts.append(Part(pack, offset, length, sha256))
            self._known.pieces[sha256] = parts[-1]
            offset += length
        return parts

    async def store_whole(
        self, next_pieces: Callable[[], list[Piece]]
    ) -> tuple[tuple[Part, ...], bool]:
        """Store a file's pieces that are new, a pack at a time, while the next ones are read.

        `next_pieces` is called in worker threads until it returns none; what it raises passes
        through. Return the file's parts, and whether anything was sent.
        """
        whole = _Whole(self._known)
        with first_of_many():
            async with asyncio.TaskGroup() as group:
                while pieces := await run_in_thread(next_pieces):
                    whole.take(pieces)
                    if whole.fresh_bytes >= PACK_BYTES:
                        await self._begin(group, whole)
                await self._begin(group, whole)
        return tuple([whole.parts[sha256] for sha256 in whole.order]), whole.is_sent

    async def _begin(self, group: asyncio.TaskGroup, whole: "_Whole") -> None:
        """Begin to store what is fresh, once there is room for another pack."""
        if whole.fresh:
            await self._room.acquire()
            group.create_task(self._store_of(whole, whole.take_fresh()))

    async def _store_of(self, whole: "_Whole", pieces: list[Piece]) -> None:
        try:
            whole.parts |= {part.sha256: part for part in await self.store(pieces)}
        finally:
            self._room.release()


class _Whole:
    """A file while it is stored: its pieces in order, and those of no pack yet."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._begun: set[str] = set()
        self.order: list[str] = []
        self.parts: dict[str, Part] = {}
        self.fresh: list[Piece] = []
        self.fresh_bytes = 0

    @property
    def is_sent(self) -> bool:
        return bool(self._begun)

    def take(self, pieces: Sequence[Piece]) -> None:
        for sha256, piece in pieces:
            self.order.append(sha256)
            if sha256 in self._begun or sha256 in self.parts:
                continue
            if sha256 in self._known.pieces:
                self.parts[sha256] = self._known.pieces[sha256]
                continue
            self._begun.add(sha256)
            self.fresh.append((sha256, piece))
            self.fresh_bytes += len(piece)

    def take_fresh(self) -> list[Piece]:
        fresh, self.fresh, self.fresh_bytes = self.fresh, [], 0
        return fresh


def _seal_pieces(pieces: Sequence[Piece]) -> tuple[Pack, bytes]:
    return seal(b"".join(piece for _, piece in pieces))
