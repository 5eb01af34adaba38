"""Brings a recovery point's bytes from the store into an empty tree, checking each hash."""

import asyncio
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter

from hakoiri.host.files.file_reader import SMALL_FILE_LIMIT_BYTES
from hakoiri.host.files.manifest import Entry, Manifest
from hakoiri.host.files.packs import Part
from hakoiri.host.files.ports import FilesError, LiveTree, ObjectStore
from hakoiri.host.files.quota import TreeUse, check_fits
from hakoiri.host.files.scan import ScanLimits
from hakoiri.host.files.stored_bytes import StoredBytes, damaged, name_of, piece_of
from hakoiri.host.files.tree_writer import NewFile, TreeWriter
from hakoiri.host.files.worker_thread import run_bounded, run_in_order, run_in_thread

AT_ONCE = 8
GROUP_FILES = 64

PACKS_AT_ONCE = 8
"""Packs in memory, as stored and as plain bytes: about 80 MiB, and 256 MiB at the very worst."""

WRITERS = 2
"""Threads that write small files: more of them wait for the interpreter at each system call, and
took two and a half times the processor time of one (docs/benchmarks.md)."""

PACKS_AHEAD = 3
"""Of one file, so many packs are read before those before them are written."""


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
    download = _Download(stored=StoredBytes(store=store, tenant=tenant), writer=writer)
    await run_bounded(_groups(files), download.write, at_once=AT_ONCE)
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


class _Download:
    """Writes files, those that lie in one pack with it read once.

    Of a file in one pack, pack and file are checked by their hashes; of one in several parts, the
    whole file before it is given its name. The hashes of its pieces and packs would tell nothing
    more, but which pack it is when that fails: then they are looked at.
    """

    def __init__(self, *, stored: StoredBytes, writer: TreeWriter) -> None:
        self._stored = stored
        self._writer = writer
        self._room = asyncio.Semaphore(PACKS_AT_ONCE)
        self._writers = asyncio.Semaphore(WRITERS)

    async def write(self, group: Sequence[Entry]) -> None:
        """Write one of the groups that `_groups` makes."""
        first = group[0]
        if first.parts is not None and len(first.parts) == 1:
            async with self._room:
                plain = await self._stored.pack(first.parts[0].pack, wanted_by=first)
                async with self._writers:
                    await run_in_thread(partial(self._write_pieces, group, plain))
        elif first.size > SMALL_FILE_LIMIT_BYTES:
            await self._write_large(first)
        else:
            contents = [(entry, await self._whole(entry)) for entry in group]
            await run_in_thread(partial(self._writer.write_files, contents))

    def _write_pieces(self, group: Sequence[Entry], plain: bytes) -> None:
        contents = (
            (entry, piece_of(entry, part, plain)) for entry in group for part in entry.parts or ()
        )
        self._writer.write_files(contents)

    async def _whole(self, entry: Entry) -> bytes:
        return b"".join([piece async for piece in self._stored.stream(entry)])

    async def _write_large(self, entry: Entry) -> None:
        file = await run_in_thread(partial(self._writer.open_file, entry))
        try:
            if entry.parts is None:
                async for piece in self._stored.stream(entry):
                    await run_in_thread(partial(file.write, piece))
            else:
                await self._write_packs(entry, file)
            await run_in_thread(partial(self._writer.commit_file, file))
        finally:
            file.close()

    async def _write_packs(self, entry: Entry, file: NewFile) -> None:
        """Read the packs of a file several at once, and write what it has in them in order."""
        digest = hashlib.sha256()

        async def read(run: Sequence[Part]) -> tuple[Sequence[Part], bytes]:
            await self._room.acquire()  # given back below; after an error all ends
            return run, await self._stored.pack_of_whole(run[0].pack, wanted_by=entry)

        async def append(answer: tuple[Sequence[Part], bytes]) -> None:
            await run_in_thread(partial(_append, file, digest, *answer))
            self._room.release()

        await run_in_order(_runs(entry.parts or ()), read, append, ahead=PACKS_AHEAD)
        if digest.hexdigest() != entry.sha256:
            await self._check_packs(entry)
            raise damaged(entry, name_of(entry), "holds other bytes")

    async def _check_packs(self, entry: Entry) -> None:
        """Read a file's packs once more to name the one that is not what was stored, if it is."""
        for pack in dict.fromkeys(part.pack for part in entry.parts or ()):
            await self._stored.pack(pack, wanted_by=entry)


def _append(file: NewFile, digest: "hashlib._Hash", run: Sequence[Part], plain: bytes) -> None:
    for part in run:
        piece = memoryview(plain)[part.offset : part.offset + part.length]
        digest.update(piece)
        file.write(piece)


def _runs(parts: Iterable[Part]) -> Iterator[Sequence[Part]]:
    """Parts that follow each other in one pack, together."""
    for _, run in groupby(parts, key=attrgetter("pack")):
        yield tuple(run)


def _groups(files: Iterable[Entry]) -> Iterator[Sequence[Entry]]:
    """Files of one piece by their pack, small ones of other kinds together, large ones alone."""
    by_pack: dict[str, list[Entry]] = {}
    others: list[Entry] = []
    for entry in files:
        if entry.parts is not None and len(entry.parts) == 1:
            by_pack.setdefault(entry.parts[0].pack.id, []).append(entry)
        elif entry.size > SMALL_FILE_LIMIT_BYTES:
            yield [entry]
        else:
            others.append(entry)
            if len(others) == GROUP_FILES:
                yield others
                others = []
    yield from by_pack.values()
    if others:
        yield others
