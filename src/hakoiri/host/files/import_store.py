"""Brings the files of a decoded archive into the store, in packs, for a list to name."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from hakoiri.host.files.archive_limits import Contents, SpooledFile
from hakoiri.host.files.file_reader import SMALL_FILE_LIMIT_BYTES
from hakoiri.host.files.large_file import LargeFile
from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.pack_writer import PackWriter
from hakoiri.host.files.packs import PACK_BYTES, Parts
from hakoiri.host.files.ports import FilesError
from hakoiri.host.files.worker_thread import run_in_thread

NEW_FOLDER_MODE = 0o755


async def store_contents(
    contents: Contents, *, spool: int, packs: PackWriter, into: bytes, mtime_ns: int
) -> list[Entry]:
    """Store all files, whose bytes lie in the open file `spool`; return their entries.

    They lie below the folder `into` of `/workspace` (empty: in it), and the folders that the
    archive names come first.
    """
    prefix = into + b"/" if into else b""
    entries = [
        Entry("workspace", prefix + path, "directory", NEW_FOLDER_MODE, mtime_ns)
        for path in contents.folders
    ]
    placed: dict[str, Parts] = {}
    for group in _groups(contents.files):
        if group[0].size > SMALL_FILE_LIMIT_BYTES:
            placed[group[0].sha256] = await _store_large(group[0], spool, packs)
            continue
        fresh = {file.sha256: file for file in group if file.size and file.sha256 not in placed}
        pieces = await run_in_thread(partial(_read_all, spool, list(fresh.values())))
        placed |= {part.sha256: (part,) for part in await packs.store(pieces)}
    for file in contents.files:
        parts = placed[file.sha256] if file.size else ()
        entry = Entry("workspace", prefix + file.path, "file", file.mode, mtime_ns)
        entries.append(replace(entry, size=file.size, sha256=file.sha256, parts=parts))
    return entries


def _groups(files: Sequence[SpooledFile]) -> Iterator[Sequence[SpooledFile]]:
    """Small files of a pack together, each large one alone."""
    group: list[SpooledFile] = []
    group_bytes = 0
    for file in files:
        if file.size > SMALL_FILE_LIMIT_BYTES:
            yield [file]
            continue
        group.append(file)
        group_bytes += file.size
        if group_bytes >= PACK_BYTES:
            yield group
            group, group_bytes = [], 0
    if group:
        yield group


def _read_all(spool: int, files: Sequence[SpooledFile]) -> list[tuple[str, bytes]]:
    return [(file.sha256, os.pread(spool, file.size, file.offset)) for file in files]


async def _store_large(file: SpooledFile, spool: int, packs: PackWriter) -> Parts:
    reading = LargeFile(spool, file.size, is_same=lambda: True, start=file.offset)
    parts, _ = await packs.store_whole(reading.next_block)
    if reading.digest() != file.sha256:
        raise FilesError("the spool of the archive changed on this host's disk")
    return parts
