"""Puts pieces of files into packs, and the packs into the store."""

from collections.abc import Callable, Sequence
from functools import partial

from hakoiri.host.files.keys import pack_key
from hakoiri.host.files.pack_codec import seal
from hakoiri.host.files.packs import PACK_BYTES, Known, Pack, Part
from hakoiri.host.files.ports import ObjectStore
from hakoiri.host.files.worker_thread import run_in_thread

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
        self.stored_bytes = 0

    async def store(self, pieces: Sequence[Piece]) -> list[Part]:
        """Store pieces as one pack; return where each lies."""
        if not pieces:
            return []
        pack, stored = await run_in_thread(partial(_seal_pieces, pieces))
        await self._store.put(pack_key(self._tenant, pack.id), stored)
        self.stored_bytes += pack.plain_size
        parts: list[Part] = []
        offset = 0
        for sha256, piece in pieces:
            parts.append(Part(pack, offset, len(piece), sha256))
            self._known.pieces[sha256] = parts[-1]
            offset += len(piece)
        return parts

    async def store_whole(
        self, next_pieces: Callable[[], list[Piece]]
    ) -> tuple[tuple[Part, ...], bool]:
        """Store a file's pieces that are new, a pack at a time.

        `next_pieces` is called in worker threads until it returns none; what it raises passes
        through. Return the file's parts, and whether anything was sent.
        """
        is_sent = False
        order: list[str] = []
        parts: dict[str, Part] = {}
        fresh: dict[str, bytes] = {}
        fresh_bytes = 0
        while pieces := await run_in_thread(next_pieces):
            for sha256, piece in pieces:
                order.append(sha256)
                if sha256 in parts or sha256 in fresh:
                    continue
                if sha256 in self._known.pieces:
                    parts[sha256] = self._known.pieces[sha256]
                    continue
                fresh[sha256] = piece
                is_sent = True
                fresh_bytes += len(piece)
            if fresh_bytes >= PACK_BYTES:
                parts |= {part.sha256: part for part in await self.store(list(fresh.items()))}
                fresh, fresh_bytes = {}, 0
        parts |= {part.sha256: part for part in await self.store(list(fresh.items()))}
        return tuple(parts[sha256] for sha256 in order), is_sent


def _seal_pieces(pieces: Sequence[Piece]) -> tuple[Pack, bytes]:
    return seal(b"".join(piece for _, piece in pieces))
