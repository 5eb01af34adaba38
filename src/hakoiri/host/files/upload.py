"""Brings the bytes of changed files into the store, in packs, several at once."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from hakoiri.host.files.file_reader import (
    READ_ATTEMPTS,
    SMALL_FILE_LIMIT_BYTES,
    ChangingError,
    FileReader,
    GoneError,
    ReadRefusedError,
    SmallFiles,
)
from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.pack_writer import PackWriter
from hakoiri.host.files.packs import PACK_BYTES, Known
from hakoiri.host.files.plan import Found, LeftOut
from hakoiri.host.files.ports import ObjectStore
from hakoiri.host.files.scan import CHANGING
from hakoiri.host.files.worker_thread import run_bounded, run_in_thread

AT_ONCE = 6
"""Packs of small files at once: pieces, their pack and its compressed form, about 15 MiB each."""

LARGE_AT_ONCE = 2
"""Large files read at once, each with its window, the block cut from it and pieces of no pack yet:
about 20 MiB. As many as hashing keeps processors busy; of each, several packs are in flight."""

BATCH_FILES = 8192
"""Files of one pack at most. Packs of tiny files stay few, so none are packed anew for ever."""


@dataclass(slots=True)
class Uploaded:
    """What became of the files to upload.

    `stored` counts files of which bytes were sent, `stored_bytes` those bytes; a file whose bytes
    the store already had is in `entries` only. `gone` vanished since the scan.
    """

    entries: list[Entry] = field(default_factory=list)
    stored: int = 0
    stored_bytes: int = 0
    left_out: list[tuple[Found, LeftOut]] = field(default_factory=list)
    gone: list[Found] = field(default_factory=list)


class Upload:
    """One save's uploads. `known` is what needs no sending; it grows with what was sent."""

    def __init__(
        self, *, store: ObjectStore, tenant: str, reader: FileReader, known: Known
    ) -> None:
        self._packs = PackWriter(store=store, tenant=tenant, known=known)
        self._reader = reader
        self._known = known
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        self._result = Uploaded()

    async def run(self, files: Sequence[Found]) -> Uploaded:
        """Read and store all; `FilesError` from the store ends it."""
        await run_bounded(_batches(files), self._upload_batch, at_once=AT_ONCE)
        self._result.stored_bytes = self._packs.stored_bytes
        return self._result

    async def _upload_batch(self, batch: Sequence[Found]) -> None:
        while batch:
            read = await run_in_thread(partial(self._reader.read_small, batch))
            self._result.left_out += read.left_out
            self._result.gone += read.gone
            await self._store_small(read)
            for found in read.large:
                await self._upload_large(found)
            batch = read.rest

    async def _store_small(self, read: SmallFiles) -> None:
        fresh = {
            entry.sha256: content
            for entry, content in read.read
            if content and entry.sha256 not in self._known.files
        }
        parts = {part.sha256: part for part in await self._packs.store(list(fresh.items()))}
        for entry, _ in read.read:
            if entry.sha256 in parts:
                stored = replace(entry, parts=(parts[entry.sha256],))
            elif entry.size:
                stored = replace(entry, parts=self._known.files[entry.sha256])
            else:
                stored = replace(entry, parts=())
            self._result.entries.append(stored)
            self._known.note(stored)
        self._result.stored += len(fresh)

    async def _upload_large(self, found: Found) -> None:
        try:
            async with self._large:
                self._result.entries.append(await self._store_large(found))
        except GoneError:
            self._result.gone.append(found)
        except ReadRefusedError as error:
            refusal = LeftOut(found.root, found.path, str(error))
            self._result.left_out.append((found, refusal))

    async def _store_large(self, found: Found) -> Entry:
        for _ in range(READ_ATTEMPTS):
            reading = await run_in_thread(partial(self._reader.open_large, found))
            try:
                parts, is_sent = await self._packs.store_whole(reading.next_block)
                entry = await run_in_thread(partial(reading.entry, parts))
            finally:
                reading.close()
            if entry is not None:
                self._result.stored += is_sent
                self._known.note(entry)
                return entry
        raise ChangingError(CHANGING)


def _batches(files: Sequence[Found]) -> Iterator[Sequence[Found]]:
    """Small files in groups of a pack each, each large one alone, so that those go side by side."""
    batch: list[Found] = []
    batch_bytes = 0
    for found in files:
        if found.size > SMALL_FILE_LIMIT_BYTES:
            yield [found]
            continue
        batch.append(found)
        batch_bytes += found.size
        if len(batch) == BATCH_FILES or batch_bytes >= PACK_BYTES:
            yield batch
            batch, batch_bytes = [], 0
    if batch:
        yield batch
