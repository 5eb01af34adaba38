"""Writing and removing single files of a workspace, from outside of its box.

A live workspace is changed where it is live, and then saved; one that is not gets a new recovery
point without a container. Either way who reads next sees the change, unless a turn runs: its end
saves.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Final, Protocol

from hakoiri.audit.event import AuditEvent, Detail, EventKind
from hakoiri.audit.writer import AuditLog
from hakoiri.host.containers.model import Claim
from hakoiri.host.conversations.live_tree import live_tree
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.ports import Containers, WorkspaceStore
from hakoiri.host.conversations.workspace_saver import WorkspaceSaver
from hakoiri.host.files.collection_ports import CollectedError
from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.packs import Parts
from hakoiri.host.files.paths import check_path
from hakoiri.host.files.ports import Begun, EditRefusedError, LiveTree, StaleGenerationError
from hakoiri.host.files.stored_edit import with_file, without
from hakoiri.host.files.tree_edit import NEW_FILE_MODE, put_file, remove
from hakoiri.host.files.worker_thread import run_in_thread

ATTEMPTS: Final = 5
"""A workspace that comes to life or is given up meanwhile is looked at again."""

Entries = Sequence[Entry]
ListChange = Callable[[Entries], Entries]


class EditableFiles(Protocol):
    """Recovery points that are made from lists. Errors are `FilesError`."""

    async def amend(
        self,
        *,
        tenant: str,
        workspace_id: str,
        generation: int,
        change: ListChange,
        begun: Begun | None = None,
    ) -> str:
        """Commit the newest one with its list changed; `StaleGenerationError`, `CollectedError`."""

    async def begin(self) -> Begun:
        """Return what `amend` is told of when bytes were stored for it since."""

    async def store_file(self, *, tenant: str, descriptor: int, size: int, sha256: str) -> Parts:
        """Store the bytes that a list is to name; return where they lie."""


class Upload(Protocol):
    """A file that was sent, whole, on this host's disk."""

    @property
    def descriptor(self) -> int:
        """Open for reading."""

    @property
    def size(self) -> int:
        """In bytes."""

    @property
    def sha256(self) -> str:
        """Of its bytes, in hex."""


class FileEdits:
    """Changes files; each change returns the recovery point that holds it, None under a turn."""

    def __init__(
        self,
        *,
        store: WorkspaceStore,
        containers: Containers,
        files: EditableFiles,
        saver: WorkspaceSaver,
        audit: AuditLog,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store = store
        self._containers = containers
        self._files = files
        self._saver = saver
        self._audit = audit
        self.wall_ns = wall_ns
        self._numbers = count(1)

    async def put(self, workspace: Workspace, path: bytes, upload: Upload) -> str | None:
        """Write a file, with its directories; `EditRefusedError`, `NoSpaceError`, `PathError`."""
        check_path(path)
        entry = Entry(
            root="workspace",
            path=path,
            kind="file",
            mode=NEW_FILE_MODE,
            mtime_ns=self.wall_ns(),
            size=upload.size,
            sha256=upload.sha256,
        )

        async def change_list() -> ListChange:
            parts = await self._files.store_file(
                tenant=workspace.tenant,
                descriptor=upload.descriptor,
                size=upload.size,
                sha256=upload.sha256,
            )
            return lambda entries: with_file(entries, replace(entry, parts=parts))

        def write(tree: LiveTree) -> None:
            put_file(tree, path, upload.descriptor, upload.size)

        told: dict[str, Detail] = {"change": "put", "bytes": upload.size}
        return await self.change(workspace, in_tree=write, in_list=change_list, told=told)

    async def remove(self, workspace: Workspace, path: bytes) -> str | None:
        """Remove what is there with all in it; `NoSuchFileError`, `EditRefusedError`."""
        check_path(path)

        async def change_list() -> ListChange:
            return lambda entries: without(entries, path)

        return await self.change(
            workspace,
            in_tree=lambda tree: remove(tree, path),
            in_list=change_list,
            told={"change": "remove"},
        )

    async def change(
        self,
        workspace: Workspace,
        *,
        in_tree: Callable[[LiveTree], None],
        in_list: Callable[[], Awaitable[ListChange]],
        told: dict[str, Detail],
    ) -> str | None:
        """Change the live tree, in a worker thread, or the list of what is not live; audit it."""
        made = await self._change(workspace, in_tree=in_tree, in_list=in_list)
        self._tell(workspace, told)
        return made

    def _tell(self, workspace: Workspace, details: dict[str, Detail]) -> None:
        self._audit.tell(
            AuditEvent(
                kind=EventKind.FILE_CHANGED,
                tenant=workspace.tenant,
                workspace=workspace.id,
                conversation=workspace.conversation_id,
                details=details,
            )
        )

    async def _change(
        self,
        workspace: Workspace,
        *,
        in_tree: Callable[[LiveTree], None],
        in_list: Callable[[], Awaitable[ListChange]],
    ) -> str | None:
        for _ in range(ATTEMPTS):
            holder = f"edit {next(self._numbers)}"
            claim = await self._containers.join(workspace.id, holder=holder)
            if claim is not None:
                try:
                    await run_in_thread(partial(in_tree, live_tree(claim.directories)))
                    await self._saver.touch(workspace, claim)
                finally:
                    await self._containers.release(workspace.id, holder=holder)
                try:
                    return await self.saved(workspace, claim)
                except StaleGenerationError:
                    continue  # the box was replaced meanwhile, here or by another server
            newest = await self._store.workspace(tenant=workspace.tenant, workspace_id=workspace.id)
            begun = await self._files.begin()
            change = await in_list()
            try:
                return await self._files.amend(
                    tenant=workspace.tenant,
                    workspace_id=workspace.id,
                    generation=newest.generation,
                    change=change,
                    begun=begun,
                )
            except (StaleGenerationError, CollectedError):
                continue  # a container was started meanwhile, or the same bytes left the store
        raise EditRefusedError("the workspace's box comes and goes; try again")

    async def saved(self, workspace: Workspace, claim: Claim) -> str | None:
        """Save what was changed in a live box; return the newest point, None under a turn.

        `StaleGenerationError` if the box is not the workspace's any more: a server that was silent
        for long may have been taken for gone, and what it wrote since is in no recovery point.
        """
        is_saved = await self._saver.flush(workspace.id)
        newest = await self._store.workspace(tenant=workspace.tenant, workspace_id=workspace.id)
        if newest.generation > claim.generation:
            raise StaleGenerationError(f"generation {claim.generation} may not save any more")
        return newest.recovery_point if is_saved else None
