"""Recovery points as the API's files: canonical path texts outside, raw names inside."""

import os
from collections.abc import AsyncIterator, Sequence

from hakoiri.host.api.files import StoredFile
from hakoiri.host.api.folder_downloads import ZippedFolder
from hakoiri.host.files.folder_zip import Folder, zip_of
from hakoiri.host.files.paths import bytes_of, text_of
from hakoiri.host.files.sync import FileSync


class RecoveryPointFiles:
    """`StoredFiles` from the newest recovery points."""

    def __init__(self, sync: FileSync) -> None:
        """Read through the file sync, which checks what it reads."""
        self._sync = sync

    async def listing(self, *, tenant: str, workspace_id: str) -> Sequence[StoredFile]:
        """All entries of `/workspace`; empty before the first recovery point."""
        manifest = await self._sync.manifest(tenant=tenant, workspace_id=workspace_id)
        if manifest is None:
            return []
        return [
            StoredFile(path=text_of(entry.path), kind=entry.kind, size_bytes=entry.size)
            for entry in manifest.entries
            if entry.root == "workspace"
        ]

    async def folder(self, *, tenant: str, workspace_id: str, path: str) -> ZippedFolder:
        """Return a folder as a zip, all of `/workspace` if the path is empty."""
        manifest = await self._sync.manifest(tenant=tenant, workspace_id=workspace_id)
        folder = Folder.of(manifest.entries if manifest else (), bytes_of(path))
        return ZippedFolder(zip_of(folder, self._sync.stored(tenant)), folder.left_out)

    def read_file(
        self, *, tenant: str, workspace_id: str, path: str, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """The bytes of one file from `start` up to `end` (default: its end), in chunks."""
        name = os.fsdecode(bytes_of(path))
        return self._sync.read_file(
            tenant=tenant, workspace_id=workspace_id, path=name, start=start, end=end
        )
