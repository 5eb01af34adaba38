"""Puts pieces of files into packs, and the packs into the store."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from hakoiri.host.files.keys import pack_key
from hakoiri.host.files.pack_codec import seal, seal_sampled
from hakoiri.host.files.packs import PACK_BYTES, Known, Pack, Part
from hakoiri.host.files.pieces import Block
from hakoiri.host.files.ports import ObjectStore
from hakoiri.host.files.worker_thread import first_of_many, run_in_thread

PACKS_AT_ONCE = 8
"""Packs of large files in flight: 5 MiB each, and as much again of those just being compressed;
what is put together from several readings has up to 9."""

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
        cuts = [(sha256, len(piece)) for sha256, piece in pieces]
        pack, stored = await run_in_thread(partial(_seal_pieces, pieces))
        pieces.clear()
        return await self._put(pack, stored, cuts)

    async def store_whole(
        self, next_block: Callable[[], Block | None]
    ) -> tuple[tuple[Part, ...], bool]:
        """Store a file's pieces that are new, a pack at a time, while the next ones are read.

        `next_block` is called in worker threads until it returns none; what it raises passes
        through. Return the file's parts, and whether anything was sent.
        """
        whole = _Whole(self._known)
        with first_of_many():
            async with asyncio.TaskGroup() as group:
                while (block := await run_in_thread(next_block)) is not None:
                    if whole.take(block):
                        await self._begin(group, whole, block)
                    elif whole.waiting_bytes >= PACK_BYTES:
                        await self._begin(group, whole, whole.take_waiting())
                if whole.waiting:
                    await self._begin(group, whole, whole.take_waiting())
        return tuple([whole.parts[sha256] for sha256 in whole.order]), whole.is_sent

    async def _begin(
        self, group: asyncio.TaskGroup, whole: "_Whole", fresh: Block | list[Piece]
    ) -> None:
        """Begin to store what is fresh, once there is room for another pack."""
        await self._room.acquire()
        group.create_task(self._store_of(whole, fresh))

    async def _store_of(self, whole: "_Whole", fresh: Block | list[Piece]) -> None:
        try:
            if isinstance(fresh, Block):
                pack, stored = await run_in_thread(partial(seal_sampled, fresh.plain))
                parts = await self._put(pack, stored, fresh.cuts)
            else:
                parts = await self.store(fresh)
            whole.parts |= {part.sha256: part for part in parts}
        finally:
            self._room.release()

    async def _put(self, pack: Pack, stored: bytes, cuts: Sequence[tuple[str, int]]) -> list[Part]:
        await self._store.put(pack_key(self._tenant, pack.id), stored)
        self.stored_bytes += pack.plain_size
        parts: list[Part] = []
        offset = 0
        for sha256, length in cuts:
            parts.append(Part(pack, offset, length, sha256))
            self._known.pieces[sha256] = parts[-1]
            offset += length
        return parts


class _Whole:
    """A file while it is stored: its pieces in order, and those of no pack yet, which wait."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._begun: set[str] = set()
        self.order: list[str] = []
        self.parts: dict[str, Part] = {}
        self.waiting: list[Piece] = []
        self.waiting_bytes = 0

    @property
    def is_sent(self) -> bool:
        return bool(self._begun)

    def take(self, block: Block) -> bool:
        """Take the next pieces; whether all are new and enough, so that the block is a pack.

        If not, copies of what is new in it wait: a piece must not keep a whole block in memory.
        """
        fresh: dict[str, slice] = {}
        offset = 0
        for sha256, length in block.cuts:
            self.order.append(sha256)
            if self._is_new(sha256):
                self._begun.add(sha256)
                fresh[sha256] = slice(offset, offset + length)
            offset += length
        if len(fresh) == len(block.cuts) and offset >= PACK_BYTES:
            return True
        for sha256, where in fresh.items():
            self.waiting.append((sha256, block.plain[where]))
            self.waiting_bytes += where.stop - where.start
        return False

    def take_waiting(self) -> list[Piece]:
        waiting, self.waiting, self.waiting_bytes = self.waiting, [], 0
        return waiting

    def _is_new(self, sha256: str) -> bool:
        if sha256 in self._begun or sha256 in self.parts:
            return False
        if sha256 in self._known.pieces:
            self.parts[sha256] = self._known.pieces[sha256]
            return False
        return True


def _seal_pieces(pieces: Sequence[Piece]) -> tuple[Pack, bytes]:
    return seal(b"".join(piece for _, piece in pieces))
