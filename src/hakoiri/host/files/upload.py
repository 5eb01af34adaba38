"""Brings the bytes of changed files into the store, several at once, in bounded memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from hakoiri.host.files.file_reader import (
    READ_ATTEMPTS,
    SMALL_FILE_LIMIT_BYTES,
    ChangingError,
    FileReader,
    GoneError,
    LargeFile,
    ReadRefusedError,
)
from hakoiri.host.files.keys import blob_key
from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.plan import Found, LeftOut
from hakoiri.host.files.ports import ContentChangedError, ObjectStore
from hakoiri.host.files.scan import CHANGING
from hakoiri.host.files.worker_thread import run_bounded, run_in_thread

AT_ONCE = 8
"""Batches in flight: with 4 MiB each, about 40 MiB of memory."""

BATCH_FILES = 64


@dataclass(slots=True)
class Uploaded:
    """What became of the files to upload.

    `stored` counts files whose bytes were sent, `stored_bytes` those bytes; a file whose bytes the
    store already had is in `entries` only. `gone` vanished since the scan.
    """

    entries: list[Entry] = field(default_factory=list)
    stored: int = 0
    stored_bytes: int = 0
    left_out: list[tuple[Found, LeftOut]] = field(default_factory=list)
    gone: list[Found] = field(default_factory=list)


class Upload:
    """One save's uploads. `known` holds the hashes that are certainly in the store.

    Only what a committed recovery point names is certain: an object that merely exists may be the
    torn remains of a crash of the host, so it is written again.
    """

    def __init__(
        self, *, store: ObjectStore, tenant: str, reader: FileReader, known: set[str]
    ) -> None:
        self._store = store
        self._tenant = tenant
        self._reader = reader
        self._known = known
        self._result = Uploaded()

    async def run(self, files: Sequence[Found]) -> Uploaded:
        """Read and store all; `FilesError` from the store ends it."""
        await run_bounded(_batches(files), self._upload_batch, at_once=AT_ONCE)
        return self._result

    async def _upload_batch(self, batch: Sequence[Found]) -> None:
        while batch:
            read = await run_in_thread(partial(self._reader.read_small, batch))
            self._result.left_out += read.left_out
            self._result.gone += read.gone
            for entry, content in read.read:
                if self._is_new(entry):
                    await self._store.put(blob_key(self._tenant, entry.sha256), content)
                self._result.entries.append(entry)
            for found in read.large:
                await self._upload_large(found)
            batch = read.rest

    async def _upload_large(self, found: Found) -> None:
        try:
            self._result.entries.append(await self._store_large(found))
        except GoneError:
            self._result.gone.append(found)
        except ReadRefusedError as error:
            refusal = LeftOut(found.root, found.path, str(error))
            self._result.left_out.append((found, refusal))

    async def _store_large(self, found: Found) -> Entry:
        for _ in range(READ_ATTEMPTS):
            file = LargeFile()
            try:
                await run_in_thread(partial(self._reader.open_large, found, file))
                entry = file.entry
                if entry is None:
                    break
                if entry.sha256 not in self._known:
                    key = blob_key(self._tenant, entry.sha256)
                    await self._store.put_file(
                        key, file.descriptor, entry.size, sha256=entry.sha256
                    )
                    self._is_new(entry)
            except ContentChangedError:
                continue
            else:
                return entry
            finally:
                file.close()
        raise ChangingError(CHANGING)

    def _is_new(self, entry: Entry) -> bool:
        """Count the first file with these bytes; whoever comes second need not store them."""
        if entry.sha256 in self._known:
            return False
        self._known.add(entry.sha256)
        self._result.stored += 1
        self._result.stored_bytes += entry.size
        return True


def _batches(files: Sequence[Found]) -> Iterator[Sequence[Found]]:
    """Small files in groups, each large one alone, so that large ones go side by side."""
    batch: list[Found] = []
    for found in files:
        if found.size > SMALL_FILE_LIMIT_BYTES:
            yield [found]
            continue
        batch.append(found)
        if len(batch) == BATCH_FILES:
            yield batch
            batch = []
    if batch:
        yield batch
