"""File sync: a live tree becomes a recovery point, and a recovery point a live tree."""

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from hakoiri.host.files.file_reader import FileReader, GrowthBudget
from hakoiri.host.files.large_file import LargeFile
from hakoiri.host.files.manifest import Entry, Manifest
from hakoiri.host.files.manifest_store import ManifestStore
from hakoiri.host.files.pack_writer import PackWriter
from hakoiri.host.files.packs import Known, Parts, known_of, wasteful_objects
from hakoiri.host.files.paths import reported
from hakoiri.host.files.plan import Plan, Scan, in_order, make_plan
from hakoiri.host.files.points import PointReason
from hakoiri.host.files.ports import (
    DamagedError,
    FilesError,
    LiveTree,
    NoSpaceError,
    NoSuchFileError,
    ObjectStore,
    StaleGenerationError,
    WorkspaceHead,
    WorkspaceHeads,
)
from hakoiri.host.files.quota import TreeUse
from hakoiri.host.files.restore import RestoreReport, check_limits, restore_tree
from hakoiri.host.files.scan import CHANGING, ScanLimits, scan
from hakoiri.host.files.stored_bytes import StoredBytes
from hakoiri.host.files.upload import Upload, Uploaded
from hakoiri.host.files.worker_thread import run_in_thread


@dataclass(frozen=True, slots=True)
class SaveReport:
    """What a save committed.

    `uploaded` files were sent (`uploaded_bytes`), `kept` files were in the store already,
    `deleted` paths are no longer there. `left_out` has a printable line for each path that is not
    as it is in the tree, bounded, the last line telling how many more.
    """

    recovery_point: str
    uploaded: int
    uploaded_bytes: int
    deleted: int
    kept: int
    left_out: list[str]


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
        lock = self._locks.setdefault(workspace_id, asyncio.Lock())
        async with lock:
            head = await self._fenced_head(workspace_id, generation)
            previous, notes = await self._previous(tenant, workspace_id, head)
            known = previous.entries if previous else ()
            scanned, plan, stored = await run_in_thread(partial(self._look, tree, known))
            uploaded = await self._upload(tenant, tree, scanned, plan, stored)
            manifest = Manifest(
                workspace_id=workspace_id,
                parent=head.recovery_point if head else None,
                generation=generation,
                event_number=event_number,
                session_id=session_id,
                created=self._clock(),
                entries=_entries(known, plan, uploaded),
            )
            if previous is not None and _is_same(previous, manifest) and manifest.parent:
                recovery_point = manifest.parent
            else:
                recovery_point = await self._commit(tenant, manifest, reason)
            left_out = notes + self._left_out(scanned, uploaded)
            return _report(recovery_point, known, manifest, uploaded, left_out)

    async def amend(
        self,
        *,
        tenant: str,
        workspace_id: str,
        generation: int,
        change: Callable[[Sequence[Entry]], Sequence[Entry]],
    ) -> str:
        """Commit the newest recovery point with its list of entries changed; return its id.

        For a workspace that is not live: `StaleGenerationError` if a container was started since
        `generation`. Whatever bytes the change names must be stored. What `change` raises passes
        through; `NoSpaceError` if the result is more than a workspace may hold.
        """
        lock = self._locks.setdefault(workspace_id, asyncio.Lock())
        async with lock:
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
            return await self._commit(tenant, manifest, PointReason.CHANGED)

    async def store_file(self, *, tenant: str, descriptor: int, size: int, sha256: str) -> Parts:
        """Store the bytes of an open file of this host's; return the parts for a list to name.

        `FilesError` if its bytes are not those of `size` and `sha256`.
        """
        file = LargeFile(descriptor, size, is_same=lambda: True)
        packs = PackWriter(store=self._store, tenant=tenant, known=Known())
        parts, _ = await packs.store_whole(file.next_pieces)
        if file.digest() != sha256:
            raise FilesError(f"the file is not the one of {size} bytes with the hash {sha256}")
        return parts

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
        return await restore_tree(
            store=self._store,
            tenant=tenant,
            recovery_point=head.recovery_point,
            manifest=manifest,
            tree=tree,
            limits=self._limits,
        )

    async def unsaved(self, *, tenant: str, workspace_id: str, tree: LiveTree) -> list[str]:
        """Name what of the tree differs from the newest recovery point, without reading files.

        Returns a printable line for each path, bounded, the last line telling how many more.
        """
        known = await self.manifest(tenant=tenant, workspace_id=workspace_id)
        scanned = await run_in_thread(
            partial(scan, tree, limits=self._limits, monotonic=self._monotonic)
        )
        entries = known.entries if known else ()
        plan = await run_in_thread(partial(make_plan, entries, scanned))
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
        entry = _file_at(manifest, path)
        stored = StoredBytes(store=self._store, tenant=tenant)
        async for chunk in stored.stream(entry, start=start, end=end):
            yield chunk

    def _look(self, tree: LiveTree, known: tuple[Entry, ...]) -> tuple[Scan, Plan, Known]:
        """Scan, and plan what to do; in a worker thread.

        Where something is sent anyway, what lies in packs that are not worth their place goes too.
        """
        scanned = scan(tree, limits=self._limits, monotonic=self._monotonic)
        plan = make_plan(known, scanned)
        if not plan.upload:
            return scanned, plan, Known()
        wasteful = wasteful_objects(plan.keep)
        if wasteful:
            plan = make_plan(known, scanned, without=wasteful)
        return scanned, plan, known_of(known, without=wasteful)

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

    async def _upload(
        self,
        tenant: str,
        tree: LiveTree,
        scanned: Scan,
        plan: Plan,
        known: Known,
    ) -> Uploaded:
        total_bytes = sum(found.size for found in scanned.found)
        reader = FileReader(
            tree=tree,
            limits=self._limits,
            budget=GrowthBudget(self._limits.limit_bytes - total_bytes),
            wall_ns=self._wall_ns,
        )
        upload = Upload(store=self._store, tenant=tenant, reader=reader, known=known)
        return await upload.run(plan.upload)

    async def _commit(self, tenant: str, manifest: Manifest, reason: PointReason) -> str:
        recovery_point = await self._manifests.write(tenant, manifest)
        await self._store.flush()
        head = WorkspaceHead(
            recovery_point, manifest.generation, manifest.event_number, manifest.as_point(reason)
        )
        await self._heads.move_head(manifest.workspace_id, head)
        return recovery_point

    def _left_out(self, scanned: Scan, uploaded: Uploaded) -> list[str]:
        lines = [str(left) for left in scanned.left_out]
        lines += [str(left) for _, left in uploaded.left_out]
        lines = lines[: self._limits.left_out_limit]
        more = scanned.left_out_total + len(uploaded.left_out) - len(lines)
        return [*lines, f"and {more} more"] if more else lines


def _check_room(manifest: Manifest, limits: ScanLimits) -> None:
    try:
        check_limits(manifest, limits)
    except FilesError as error:
        raise NoSpaceError(str(error)) from error


def _entries(known: tuple[Entry, ...], plan: Plan, uploaded: Uploaded) -> tuple[Entry, ...]:
    """Put a recovery point together; a file that kept changing stays as it was last saved."""
    before = {entry.place: entry for entry in known if entry.kind == "file"}
    kept_back = [
        before[found.place]
        for found, left in uploaded.left_out
        if left.reason == CHANGING and found.place in before
    ]
    return in_order([*plan.keep, *uploaded.entries, *kept_back])


def _is_same(previous: Manifest, manifest: Manifest) -> bool:
    return (
        previous.entries,
        previous.generation,
        previous.event_number,
        previous.session_id,
    ) == (manifest.entries, manifest.generation, manifest.event_number, manifest.session_id)


def _report(
    recovery_point: str,
    known: tuple[Entry, ...],
    manifest: Manifest,
    uploaded: Uploaded,
    left_out: list[str],
) -> SaveReport:
    now = {entry.place for entry in manifest.entries}
    files = sum(entry.kind == "file" for entry in manifest.entries)
    return SaveReport(
        recovery_point=recovery_point,
        uploaded=uploaded.stored,
        uploaded_bytes=uploaded.stored_bytes,
        deleted=sum(entry.place not in now for entry in known),
        kept=files - uploaded.stored,
        left_out=left_out,
    )


def _file_at(manifest: Manifest | None, path: str) -> Entry:
    raw = path.encode("utf-8", "surrogateescape")
    for entry in manifest.entries if manifest else ():
        if entry.place == ("workspace", raw):
            if entry.kind != "file":
                raise NoSuchFileError(f"{path!r:.1000} is a {entry.kind}, not a file")
            return entry
    raise NoSuchFileError(f"the newest recovery point has no file {path!r:.1000}")
