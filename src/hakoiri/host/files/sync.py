"""File sync: a live tree becomes a recovery point, and a recovery point a live tree."""

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from hakoiri.host.files.collection_ports import CollectedError
from hakoiri.host.files.file_reader import FileReader, GrowthBudget
from hakoiri.host.files.folder_zip import KeptPacks
from hakoiri.host.files.freed_memory import GIVE_BACK_FROM_BYTES, give_back
from hakoiri.host.files.keys import id_in_key
from hakoiri.host.files.large_file import LargeFile
from hakoiri.host.files.manifest import Entry, Manifest
from hakoiri.host.files.manifest_store import ManifestStore
from hakoiri.host.files.pack_writer import PackWriter
from hakoiri.host.files.packs import Known, Parts
from hakoiri.host.files.paths import reported
from hakoiri.host.files.plan import Scan
from hakoiri.host.files.points import PointReason
from hakoiri.host.files.ports import (
    Begun,
    DamagedError,
    FilesError,
    LiveTree,
    NoSpaceError,
    ObjectStore,
    StaleGenerationError,
    WorkspaceHead,
    WorkspaceHeads,
)
from hakoiri.host.files.prepared_point import Origin, PreparedPoint, prepare_point, prepare_save
from hakoiri.host.files.quota import TreeUse
from hakoiri.host.files.restore import RestoreReport, check_limits, restore_tree
from hakoiri.host.files.save_report import SaveReport
from hakoiri.host.files.saved_state import file_at
from hakoiri.host.files.scan import ScanLimits
from hakoiri.host.files.stored_bytes import StoredBytes
from hakoiri.host.files.tree_look import Look, compare, look
from hakoiri.host.files.upload import Upload, Uploaded
from hakoiri.host.files.worker_thread import run_in_thread

LONGEST_SAVE_S: Final = 3600.0
"""What is saved is committed within this, or not: the grace of the collection is longer."""

COMMIT_ATTEMPTS: Final = 3
"""A save that names what just left the store stores it again."""


class FileSync:
    """Saves and restores workspaces; one per server, any number of workspaces at once.

    `clock` stamps recovery points (aware, any zone), `monotonic` bounds scans in seconds, and
    `wall_ns` must be the clock that the live trees' file system stamps files with.
    """

    def __init__(
        self,
        *,
        store: ObjectStore,
        heads: WorkspaceHeads,
        limits: ScanLimits,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store = store
        self._heads = heads
        self._manifests = ManifestStore(store)
        self._limits = limits
        self._clock = clock
        self._monotonic = monotonic
        self._wall_ns = wall_ns
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def save(
        self,
        *,
        tenant: str,
        workspace_id: str,
        generation: int,
        event_number: int,
        tree: LiveTree,
        session_id: str | None,
        reason: PointReason = PointReason.ON_DEMAND,
    ) -> SaveReport:
        """Commit the tree as it is: packs first, then the manifest, then the head.

        If nothing changed, neither file nor event number, session or generation, the head stays
        and is what the report names. `StaleGenerationError` if a newer container has committed;
        any `FilesError` leaves the head where it was. One save at a time per workspace.
        """
        attempt = partial(
            self._save_once,
            tenant=tenant,
            workspace_id=workspace_id,
            generation=generation,
            event_number=event_number,
            tree=tree,
            session_id=session_id,
            reason=reason,
        )
        lost: frozenset[str] = frozenset()
        lock = self._locks.setdefault(workspace_id, asyncio.Lock())
        async with lock:
            for _ in range(COMMIT_ATTEMPTS - 1):
                try:
                    return await attempt(lost=lost)
                except CollectedError as error:
                    lost |= error.keys
            return await attempt(lost=lost)

    async def amend(
        self,
        *,
        tenant: str,
        workspace_id: str,
        generation: int,
        change: Callable[[Sequence[Entry]], Sequence[Entry]],
        begun: Begun | None = None,
    ) -> str:
        """Commit the newest recovery point with its list of entries changed; return its id.

        For a workspace that is not live: `StaleGenerationError` if a container was started since
        `generation`. Whatever bytes the change names must be stored, or named by a live recovery
        point; `begun` is from `begin`, called before that was done or looked up. `CollectedError`
        if some have gone again. What `change` raises passes
        through; `NoSpaceError` if the result is more than a workspace may hold.
        """
        lock = self._locks.setdefault(workspace_id, asyncio.Lock())
        async with lock:
            begun = begun or Begun(0, self._monotonic())
            head = await self._heads.head(workspace_id)
            previous = None
            if head is not None:
                previous = await self._manifests.newest(tenant, workspace_id, head.recovery_point)
            entries = tuple(change(previous.entries if previous else ()))
            manifest = Manifest(
                workspace_id=workspace_id,
                parent=head.recovery_point if head else None,
                generation=max(generation, 1),
                event_number=head.event_number if head else 0,
                session_id=previous.session_id if previous else None,
                created=self._clock(),
                entries=entries,
            )
            _check_room(manifest, self._limits)
            origin = Origin(tenant, previous, PointReason.CHANGED, begun.mark)
            prepare = partial(prepare_point, manifest, origin, self._manifests)
            point = await run_in_thread(prepare)
            await self._commit(workspace_id, point, begun)
            return point.spelled.recovery_point

    async def begin(self) -> Begun:
        """Return what a commit is to be told of, before bytes are stored for it."""
        return Begun(await self._heads.collection_mark(), self._monotonic())

    async def store_file(self, *, tenant: str, descriptor: int, size: int, sha256: str) -> Parts:
        """Store the bytes of an open file of this host's; return the parts for a list to name.

        `FilesError` if its bytes are not those of `size` and `sha256`.
        """
        file = LargeFile(descriptor, size, is_same=lambda: True)
        parts, _ = await self.packs(tenant).store_whole(file.next_block)
        if file.digest() != sha256:
            raise FilesError(f"the file is not the one of {size} bytes with the hash {sha256}")
        return parts

    def packs(self, tenant: str) -> PackWriter:
        """Return what writes packs of bytes that a list is to name."""
        return PackWriter(store=self._store, tenant=tenant, known=Known())

    def stored(self, tenant: str) -> StoredBytes:
        """Return a tenant's bytes, to read many files that lie together."""
        return KeptPacks(store=self._store, tenant=tenant)

    async def usage(self, tree: LiveTree) -> TreeUse:
        """Say how full the tree's disks are; raise `FilesError` if they do not answer."""
        return await run_in_thread(partial(TreeUse.of, workspace=tree.workspace, home=tree.home))

    @property
    def manifests(self) -> ManifestStore:
        """What reads and writes manifests, the newest of them at hand."""
        return self._manifests

    async def has_recovery_point(self, workspace_id: str) -> bool:
        """Whether `restore` would write anything."""
        return await self._heads.head(workspace_id) is not None

    async def restore(
        self, *, tenant: str, workspace_id: str, tree: LiveTree
    ) -> RestoreReport | None:
        """Write the newest recovery point into an empty tree; None if there is none yet.

        `DamagedError` names the path, and the pack or blob that is missing or wrong, `FilesError` a
        tree that is not empty or a recovery point over the limits. After an error the tree is
        unfinished and must be thrown away.
        """
        head = await self._heads.head(workspace_id)
        if head is None:
            return None
        manifest = await self._manifests.read(tenant, workspace_id, head.recovery_point)
        report = await restore_tree(
            store=self._store,
            tenant=tenant,
            recovery_point=head.recovery_point,
            manifest=manifest,
            tree=tree,
            limits=self._limits,
        )
        await _give_back_after(report.file_bytes)
        return report

    async def unsaved(self, *, tenant: str, workspace_id: str, tree: LiveTree) -> list[str]:
        """Name what of the tree differs from the newest recovery point, without reading files.

        Returns a printable line for each path, bounded; the last tells how many more.
        """
        known = await self.manifest(tenant=tenant, workspace_id=workspace_id)
        entries = known.entries if known else ()
        scanned, plan = await run_in_thread(
            partial(compare, tree, entries, limits=self._limits, monotonic=self._monotonic)
        )
        places = [*(found.place for found in plan.upload), *(entry.place for entry in plan.delete)]
        changed = [f"{root}/{reported(path)}" for root, path in places]
        changed += [str(left) for left in scanned.left_out]
        limit = self._limits.left_out_limit
        more = len(changed) + scanned.left_out_total - len(scanned.left_out) - limit
        return [*changed[:limit], f"and {more} more"] if more > 0 else changed

    async def manifest(self, *, tenant: str, workspace_id: str) -> Manifest | None:
        """Return the newest recovery point's manifest; None before the first."""
        head = await self._heads.head(workspace_id)
        if head is None:
            return None
        return await self._manifests.read(tenant, workspace_id, head.recovery_point)

    async def read_file(
        self, *, tenant: str, workspace_id: str, path: str, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Stream a file of `/workspace` from the newest recovery point, never from the live tree.

        `path` is relative; bytes that are not UTF-8 stand as lone surrogates (`os.fsdecode`). Of a
        range, `start` up to `end`, only the packs that hold it are read. `NoSuchFileError` on the
        first step if there is no regular file; `DamagedError`, at the latest after the last chunk,
        if its bytes are not those that were saved.
        """
        manifest = await self.manifest(tenant=tenant, workspace_id=workspace_id)
        entry = await run_in_thread(partial(file_at, manifest, path))
        stored = StoredBytes(store=self._store, tenant=tenant)
        async for chunk in stored.stream(entry, start=start, end=end):
            yield chunk

    async def _save_once(
        self,
        *,
        tenant: str,
        workspace_id: str,
        generation: int,
        event_number: int,
        tree: LiveTree,
        session_id: str | None,
        reason: PointReason,
        lost: frozenset[str],
    ) -> SaveReport:
        """Save; `lost` are keys of what left the store, and is to be stored anew."""
        begun = await self.begin()
        head = await self._fenced_head(workspace_id, generation)
        previous, notes = await self._previous(tenant, workspace_id, head)
        known = previous.entries if previous else ()
        without = frozenset(id_in_key(key) for key in lost)
        limits, monotonic = self._limits, self._monotonic
        seen = await run_in_thread(
            partial(look, tree, known, limits=limits, monotonic=monotonic, lost=without)
        )
        uploaded = await self._upload(tenant, tree, seen)
        draft = Manifest(
            workspace_id=workspace_id,
            parent=head.recovery_point if head else None,
            generation=generation,
            event_number=event_number,
            session_id=session_id,
            created=self._clock(),
            entries=(),
        )
        left_out = notes + self._left_out(seen.scan, uploaded)
        origin = Origin(tenant, previous, reason, begun.mark, lost)
        prepare = partial(prepare_save, origin=origin, manifests=self._manifests)
        point, report = await run_in_thread(partial(prepare, draft, seen.plan, uploaded, left_out))
        if point is not None:
            await self._commit(workspace_id, point, begun)
        return report

    async def _fenced_head(self, workspace_id: str, generation: int) -> WorkspaceHead | None:
        """Return the head; refuse a replaced container before it costs any work."""
        head = await self._heads.head(workspace_id)
        if head is not None and head.generation > generation:
            raise StaleGenerationError(
                f"workspace {workspace_id}: generation {generation} cannot save, "
                f"{head.generation} already has"
            )
        return head

    async def _previous(
        self, tenant: str, workspace_id: str, head: WorkspaceHead | None
    ) -> tuple[Manifest | None, list[str]]:
        """Return the head's manifest; a damaged one must not stop new work from being saved."""
        if head is None:
            return None, []
        try:
            return await self._manifests.newest(tenant, workspace_id, head.recovery_point), []
        except DamagedError as error:
            return None, [f"{error}; all files were stored anew"]

    async def _upload(self, tenant: str, tree: LiveTree, seen: Look) -> Uploaded:
        reader = FileReader(
            tree=tree,
            limits=self._limits,
            budget=GrowthBudget(self._limits.limit_bytes - seen.scan.total_bytes),
            wall_ns=self._wall_ns,
        )
        upload = Upload(store=self._store, tenant=tenant, reader=reader, known=seen.stored)
        uploaded = await upload.run(seen.plan.upload)
        await _give_back_after(uploaded.stored_bytes)
        return uploaded

    async def _commit(self, workspace_id: str, point: PreparedPoint, begun: Begun) -> None:
        await self._manifests.put(point.spelled)
        if self._monotonic() - begun.at_s > LONGEST_SAVE_S:
            raise FilesError(f"saving took longer than {LONGEST_SAVE_S:g} s")
        await self._heads.move_head(workspace_id, point.head, point.named)

    def _left_out(self, scanned: Scan, uploaded: Uploaded) -> list[str]:
        lines = [str(left) for left in scanned.left_out]
        lines += [str(left) for _, left in uploaded.left_out]
        lines = lines[: self._limits.left_out_limit]
        more = scanned.left_out_total + len(uploaded.left_out) - len(lines)
        return [*lines, f"and {more} more"] if more else lines


async def _give_back_after(passed_bytes: int) -> None:
    if passed_bytes >= GIVE_BACK_FROM_BYTES:
        await run_in_thread(give_back)


def _check_room(manifest: Manifest, limits: ScanLimits) -> None:
    try:
        check_limits(manifest, limits)
    except FilesError as error:
        raise NoSpaceError(str(error)) from error
