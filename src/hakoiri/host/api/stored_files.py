"""Recovery points as the API's files: canonical path texts outside, raw names inside.

A tenant's workspace may hold some hundred thousand files: what goes through all of them does so in
a worker thread, so that others are served meanwhile.
"""

import os
from collections.abc import AsyncIterator, Sequence
from functools import partial

from hakoiri.host.api.files import StoredFile
from hakoiri.host.api.folder_downloads import ZippedFolder
from hakoiri.host.files.folder_zip import Folder, zip_of
from hakoiri.host.files.manifest import Entry, Manifest
from hakoiri.host.files.paths import PathError, bytes_of, text_of
from hakoiri.host.files.sync import FileSync
from hakoiri.host.files.worker_thread import run_in_thread


class RecoveryPointFiles:
    """`StoredFiles` from the newest recovery points."""

    def __init__(self, sync: FileSync) -> None:
        """Read through the file sync, which checks what it reads."""
        self._sync = sync

    async def listing(self, *, tenant: str, workspace_id: str) -> Sequence[StoredFile]:
        """All entries of `/workspace`; empty before the first recovery point."""
        manifest = await self._sync.manifest(tenant=tenant, workspace_id=workspace_id)
        return await run_in_thread(partial(_listed, manifest))

    async def find(self, *, tenant: str, workspace_id: str, path: str) -> StoredFile | None:
        """One entry of `/workspace`, by its canonical text; None if there is none."""
        try:
            raw = bytes_of(path)
        except PathError:
            return None
        manifest = await self._sync.manifest(tenant=tenant, workspace_id=workspace_id)
        return await run_in_thread(partial(_found, manifest, raw))

    async def folder(self, *, tenant: str, workspace_id: str, path: str) -> ZippedFolder:
        """Return a folder as a zip, all of `/workspace` if the path is empty."""
        manifest = await self._sync.manifest(tenant=tenant, workspace_id=workspace_id)
        entries = manifest.entries if manifest else ()
        folder = await run_in_thread(partial(Folder.of, entries, bytes_of(path)))
        return ZippedFolder(zip_of(folder, self._sync.stored(tenant)), folder.left_out)

    def read_file(
        self, *, tenant: str, workspace_id: str, path: str, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """The bytes of one file from `start` up to `end` (default: its end), in chunks."""
        name = os.fsdecode(bytes_of(path))
        return self._sync.read_file(
            tenant=tenant, workspace_id=workspace_id, path=name, start=start, end=end
        )


def _listed(manifest: Manifest | None) -> list[StoredFile]:
    entries = manifest.entries if manifest is not None else ()
    return [_shown(entry) for entry in entries if entry.root == "workspace"]


def _found(manifest: Manifest | None, path: bytes) -> StoredFile | None:
    entries = manifest.entries if manifest is not None else ()
    found = (e for e in entries if e.path == path and e.root == "workspace")
    return next((_shown(entry) for entry in found), None)


def _shown(entry: Entry) -> StoredFile:
    return StoredFile(path=text_of(entry.path), kind=entry.kind, size_bytes=entry.size)
