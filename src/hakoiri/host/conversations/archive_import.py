"""An archive that was sent, unpacked into a folder of a workspace: all of it, or clearly told.

It is decoded and checked to its end, into a file of this host's, before anything is written. A
workspace that is not live then gets all of it in one recovery point. In a live one the files are
written one after the other, as single ones are; if the box is in the way, how many were is told.
"""

import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Protocol

from hakoiri.host.conversations.file_edits import FileEdits, ListChange, Upload
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.files.archive_limits import Contents, ImportLimits
from hakoiri.host.files.archive_reader import unpack
from hakoiri.host.files.import_store import store_contents
from hakoiri.host.files.pack_writer import PackWriter
from hakoiri.host.files.paths import check_path
from hakoiri.host.files.ports import EditRefusedError, LiveTree, NoSpaceError
from hakoiri.host.files.quota import DiskUse
from hakoiri.host.files.stored_edit import with_tree
from hakoiri.host.files.tree_edit import put_file, put_folder
from hakoiri.host.files.worker_thread import run_in_thread

MEMBERS_LIMIT = 50_000
"""Of one archive."""


class PackedFiles(Protocol):
    """Where bytes are stored that a list is to name."""

    def packs(self, tenant: str) -> PackWriter:
        """Return what writes a tenant's packs."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of an archive. `recovery_point` is None while a turn runs, which makes it.

    `left_out` counts links, devices and the like, some of them by name.
    """

    recovery_point: str | None
    files: int
    file_bytes: int
    left_out: int
    left_out_names: list[str] = field(default_factory=list)


class ArchiveImport:
    """Unpacks archives; the spool lies in `directory`."""

    def __init__(
        self, *, edits: FileEdits, files: PackedFiles, limits: ImportLimits, directory: Path
    ) -> None:
        self._edits = edits
        self._files = files
        self._limits = limits
        self._directory = directory

    async def run(self, workspace: Workspace, folder: bytes, upload: Upload) -> Imported:
        """Unpack into the folder (empty: all of `/workspace`), in place of what is there.

        `ArchiveRefusedError` and nothing changed; `EditRefusedError`, `NoSpaceError`, `PathError`.
        """
        if folder:
            check_path(folder)
        with await run_in_thread(self._spool) as spool:
            decode = partial(unpack, upload.descriptor, upload.size, spool, self._limits)
            contents = await run_in_thread(decode)
            made = await self._write(workspace, folder, contents, spool)
        return Imported(
            recovery_point=made,
            files=len(contents.files),
            file_bytes=contents.file_bytes,
            left_out=contents.left_out,
            left_out_names=contents.left_out_names,
        )

    def _spool(self) -> IO[bytes]:
        return tempfile.TemporaryFile(dir=self._directory)

    async def _write(
        self, workspace: Workspace, folder: bytes, contents: Contents, spool: IO[bytes]
    ) -> str | None:
        async def change_list() -> ListChange:
            added = await store_contents(
                contents,
                spool=spool.fileno(),
                packs=self._files.packs(workspace.tenant),
                into=folder,
                mtime_ns=self._edits.wall_ns(),
            )
            return lambda entries: with_tree(entries, added)

        return await self._edits.change(
            workspace,
            in_tree=partial(_write_tree, contents, folder, spool.fileno()),
            in_list=change_list,
            told={
                "change": "import",
                "files": len(contents.files),
                "bytes": contents.file_bytes,
                "left_out": contents.left_out,
            },
        )


def _write_tree(contents: Contents, folder: bytes, spool: int, tree: LiveTree) -> None:
    """Write all into a live tree, if its disk has room; tell how far it went if it has not."""
    _check_room(contents, DiskUse.of(tree.workspace))
    prefix = folder + b"/" if folder else b""
    written = 0
    try:
        for path in contents.folders:
            put_folder(tree, prefix + path)
        for file in contents.files:
            put_file(
                tree,
                prefix + file.path,
                spool,
                file.size,
                start=file.offset,
                new_mode=file.mode,
            )
            written += 1
    except (EditRefusedError, NoSpaceError) as error:
        told = f"{error}; {written} of {len(contents.files)} files were written before"
        raise type(error)(told) from error


def _check_room(contents: Contents, disk: DiskUse) -> None:
    blocks = sum(-(-file.size // disk.block_bytes) for file in contents.files)
    needed_bytes = (blocks + len(contents.folders)) * disk.block_bytes
    needed_inodes = len(contents.files) + len(contents.folders)
    left_bytes = disk.quota_bytes - disk.used_bytes
    left_inodes = disk.quota_inodes - disk.used_inodes
    if needed_bytes > left_bytes or needed_inodes > left_inodes:
        raise NoSpaceError(
            f"the archive needs {needed_bytes} bytes and {needed_inodes} inodes, and the workspace "
            f"has {left_bytes} and {left_inodes} left; nothing was written"
        )
