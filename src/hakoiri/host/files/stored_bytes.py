"""Reads files' bytes back from packs and from the blobs of version 1, checking each hash."""

import hashlib
from collections.abc import AsyncIterator, Callable
from functools import partial

from hakoiri.host.files.keys import blob_key, pack_key
from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.pack_codec import CodecError, unseal, unseal_unchecked
from hakoiri.host.files.packs import Pack, Part
from hakoiri.host.files.paths import reported
from hakoiri.host.files.ports import (
    DamagedError,
    ObjectMissingError,
    ObjectStore,
    ObjectTooLargeError,
)
from hakoiri.host.files.worker_thread import run_in_thread


class StoredBytes:
    """One tenant's packs and blobs. `DamagedError` names the path, and the pack or blob."""

    def __init__(self, *, store: ObjectStore, tenant: str) -> None:
        self._store = store
        self._tenant = tenant

    async def pack(self, pack: Pack, *, wanted_by: Entry) -> bytes:
        """Return a pack's plain bytes."""
        return await self._pack(pack, wanted_by, unseal)

    async def pack_of_whole(self, pack: Pack, *, wanted_by: Entry) -> bytes:
        """Return a pack's plain bytes for one who checks the hash of the whole file.

        Those of a pack that is not compressed are not checked here.
        """
        return await self._pack(pack, wanted_by, unseal_unchecked)

    async def _pack(
        self, pack: Pack, wanted_by: Entry, decode: Callable[[Pack, bytes], bytes]
    ) -> bytes:
        what = f"pack {pack.id}"
        try:
            stored = await self._store.get(pack_key(self._tenant, pack.id), limit_bytes=pack.size)
            return await run_in_thread(partial(decode, pack, stored))
        except ObjectMissingError as error:
            raise damaged(wanted_by, what, "is missing") from error
        except ObjectTooLargeError as error:
            raise damaged(wanted_by, what, "is longer than it was") from error
        except CodecError as error:
            raise damaged(wanted_by, what, str(error)) from error

    async def stream(
        self, entry: Entry, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield a file's bytes from `start` up to `end` (default: its end), in order.

        Of a file in packs, only those of the range are read, and each piece is checked before it
        is yielded; all of a file is checked as a whole too, after its last byte.
        """
        end = entry.size if end is None else min(end, entry.size)
        source = self._whole_blob(entry) if entry.parts is None else self._pieces(entry, start, end)
        digest = hashlib.sha256()
        at = _first_of(entry, start)
        async for piece in source:
            digest.update(piece)
            wanted = piece[max(start - at, 0) : max(end - at, 0)]
            at += len(piece)
            if wanted:
                yield wanted
        is_whole = entry.parts is None or (start == 0 and end == entry.size)
        if is_whole and digest.hexdigest() != entry.sha256:
            raise damaged(entry, name_of(entry), "holds other bytes")

    async def _pieces(self, entry: Entry, start: int, end: int) -> AsyncIterator[bytes]:
        at = 0
        pack: Pack | None = None
        plain = b""
        for part in entry.parts or ():
            if at < end and at + part.length > start:
                if part.pack is not pack:
                    pack, plain = part.pack, await self.pack(part.pack, wanted_by=entry)
                yield piece_of(entry, part, plain)
            at += part.length

    async def _whole_blob(self, entry: Entry) -> AsyncIterator[bytes]:
        read_bytes = 0
        try:
            async for chunk in self._store.stream(blob_key(self._tenant, entry.sha256)):
                read_bytes += len(chunk)
                if read_bytes > entry.size:
                    raise damaged(entry, name_of(entry), "is longer than it was")
                yield chunk
        except ObjectMissingError as error:
            raise damaged(entry, name_of(entry), "is missing") from error


def piece_of(entry: Entry, part: Part, plain: bytes) -> bytes:
    """Cut a part out of its pack's plain bytes; `DamagedError` if it is not what it was."""
    piece = plain[part.offset : part.offset + part.length]
    if hashlib.sha256(piece).hexdigest() != part.sha256:
        raise damaged(entry, f"pack {part.pack.id}", "holds other bytes")
    return piece


def damaged(entry: Entry, what: str, how: str) -> DamagedError:
    """Return the error that names the path, and what of the store is wrong."""
    return DamagedError(f"{entry.root}/{reported(entry.path)}: {what} {how}")


def _first_of(entry: Entry, start: int) -> int:
    """Return where the first piece that holds bytes from `start` on begins."""
    at = 0
    for part in entry.parts or ():
        if at + part.length > start:
            break
        at += part.length
    return at


def name_of(entry: Entry) -> str:
    """Return what a file's bytes lie in, as errors say it."""
    if entry.parts is None:
        return f"blob {entry.sha256}"
    return "packs " + ", ".join(sorted({part.pack.id for part in entry.parts})[:3])
