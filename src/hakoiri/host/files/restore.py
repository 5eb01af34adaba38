"""Brings a recovery point's bytes from the store into an empty tree, checking each hash."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from hakoiri.host.files.file_reader import SMALL_FILE_LIMIT_BYTES
from hakoiri.host.files.keys import blob_key
from hakoiri.host.files.manifest import Entry, Manifest
from hakoiri.host.files.paths import reported
from hakoiri.host.files.ports import (
    DamagedError,
    FilesError,
    LiveTree,
    ObjectMissingError,
    ObjectStore,
    ObjectTooLargeError,
)
from hakoiri.host.files.quota import TreeUse, check_fits
from hakoiri.host.files.scan import ScanLimits
from hakoiri.host.files.tree_writer import NewFile, TreeWriter
from hakoiri.host.files.worker_thread import run_bounded, run_in_thread

AT_ONCE = 8
BATCH_FILES = 64
BATCH_LIMIT_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What was written; `session_id` resumes the agent's memory of that moment."""

    recovery_point: str
    event_number: int
    session_id: str | None
    files: int
    file_bytes: int


async def restore_tree(
    *,
    store: ObjectStore,
    tenant: str,
    recovery_point: str,
    manifest: Manifest,
    tree: LiveTree,
    limits: ScanLimits,
) -> RestoreReport:
    """Write all entries, or raise `FilesError` (`DamagedError`) and leave an unfinished tree.

    Limits and the disks' room (`QuotaError`) are checked before the first byte is written.
    """
    check_limits(manifest, limits)
    writer = TreeWriter(tree)
    await run_in_thread(writer.check_empty)
    room = partial(TreeUse.of, workspace=tree.workspace, home=tree.home)
    check_fits(manifest, await run_in_thread(room))
    directories = [entry for entry in manifest.entries if entry.kind == "directory"]
    files = [entry for entry in manifest.entries if entry.kind == "file"]
    symlinks = [entry for entry in manifest.entries if entry.kind == "symlink"]
    await run_in_thread(partial(writer.make_directories, directories))
    download = _Download(store=store, tenant=tenant, writer=writer)
    await run_bounded(_batches(files), download.write_batch, at_once=AT_ONCE)
    await run_in_thread(partial(writer.make_symlinks, symlinks))
    await run_in_thread(partial(writer.finish_directories, directories))
    return RestoreReport(
        recovery_point=recovery_point,
        event_number=manifest.event_number,
        session_id=manifest.session_id,
        files=len(files),
        file_bytes=manifest.file_bytes,
    )


def check_limits(manifest: Manifest, limits: ScanLimits) -> None:
    """Raise `FilesError` if the recovery point is more than a workspace may hold."""
    if len(manifest.entries) > limits.limit_entries:
        raise FilesError(
            f"the recovery point has {len(manifest.entries)} entries, over the limit of "
            f"{limits.limit_entries}; raise files.limit_entries"
        )
    if manifest.file_bytes > limits.limit_bytes:
        raise FilesError(
            f"the recovery point has {manifest.file_bytes} bytes, over the limit of "
            f"{limits.limit_bytes}; raise files.limit_bytes"
        )
    if any(entry.path.count(b"/") >= limits.depth_limit for entry in manifest.entries):
        raise FilesError(
            f"the recovery point is deeper than {limits.depth_limit} levels; "
            "raise files.depth_limit"
        )


def damaged(entry: Entry, what: str) -> DamagedError:
    """Return the error that names the path and the hash of a blob."""
    return DamagedError(f"{entry.root}/{reported(entry.path)}: blob {entry.sha256} {what}")


class _Download:
    def __init__(self, *, store: ObjectStore, tenant: str, writer: TreeWriter) -> None:
        self._store = store
        self._tenant = tenant
        self._writer = writer

    async def write_batch(self, batch: Sequence[Entry]) -> None:
        if batch[0].size > SMALL_FILE_LIMIT_BYTES:
            await self._write_large(batch[0])
            return
        contents = [(entry, await self._small(entry)) for entry in batch]
        await run_in_thread(partial(self._writer.write_files, contents))

    async def _small(self, entry: Entry) -> bytes:
        try:
            content = await self._store.get(
                blob_key(self._tenant, entry.sha256), limit_bytes=SMALL_FILE_LIMIT_BYTES
            )
        except ObjectMissingError as error:
            raise damaged(entry, "is missing") from error
        except ObjectTooLargeError as error:
            raise damaged(entry, "is longer than it was") from error
        if len(content) != entry.size or hashlib.sha256(content).hexdigest() != entry.sha256:
            raise damaged(entry, "holds other bytes")
        return content

    async def _write_large(self, entry: Entry) -> None:
        file = self._writer.open_file(entry)
        try:
            await self._stream_into(entry, file)
            await run_in_thread(partial(self._writer.commit_file, file))
        finally:
            file.close()

    async def _stream_into(self, entry: Entry, file: NewFile) -> None:
        digest = hashlib.sha256()
        written_bytes = 0
        try:
            async for chunk in self._store.stream(blob_key(self._tenant, entry.sha256)):
                written_bytes += len(chunk)
                if written_bytes > entry.size:
                    raise damaged(entry, "is longer than it was")
                await run_in_thread(partial(_write_and_hash, chunk, file, digest))
        except ObjectMissingError as error:
            raise damaged(entry, "is missing") from error
        if digest.hexdigest() != entry.sha256:
            raise damaged(entry, "holds other bytes")


def _write_and_hash(chunk: bytes, file: NewFile, digest: "hashlib._Hash") -> None:
    digest.update(chunk)
    file.write(chunk)


def _batches(files: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    batch: list[Entry] = []
    batch_bytes = 0
    for entry in files:
        if entry.size > SMALL_FILE_LIMIT_BYTES:
            yield [entry]
            continue
        batch.append(entry)
        batch_bytes += entry.size
        if len(batch) == BATCH_FILES or batch_bytes >= BATCH_LIMIT_BYTES:
            yield batch
            batch, batch_bytes = [], 0
    if batch:
        yield batch
