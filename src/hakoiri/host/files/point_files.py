"""Recovery points other than the newest: read, compared, and taken over as the newest.

No file's bytes are copied: a manifest is written that names the packs of the one it is made from.
Packs are shared within a tenant, so that this goes from one workspace to another as well.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from hakoiri.host.files.manifest import Entry, Manifest
from hakoiri.host.files.manifest_copy import NewHead
from hakoiri.host.files.manifest_store import ManifestStore
from hakoiri.host.files.point_diff import Difference, difference
from hakoiri.host.files.points import NewPoint, PointReason
from hakoiri.host.files.ports import NoSuchFileError, ObjectStore, WorkspaceHead
from hakoiri.host.files.stored_bytes import StoredBytes
from hakoiri.host.files.worker_thread import run_in_thread


@dataclass(frozen=True, slots=True)
class PointOf:
    """Where a recovery point's manifest lies, and what its list counts, if that is known."""

    tenant: str
    workspace_id: str
    recovery_point: str
    files: int | None = None
    file_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A manifest that was written and that no head names yet; `session_id` is its agent's."""

    head: WorkspaceHead
    session_id: str | None


class PointFiles:
    """Reads through the manifests that saves keep at hand. Errors are `FilesError`."""

    def __init__(
        self, *, store: ObjectStore, manifests: ManifestStore, clock: Callable[[], datetime]
    ) -> None:
        """`clock` stamps manifests that are written."""
        self._store = store
        self._manifests = manifests
        self._clock = clock

    async def take_over(
        self,
        source: PointOf,
        *,
        workspace_id: str,
        parent: str | None,
        generation: int,
        has_events: bool,
        reason: PointReason,
    ) -> TakenOver:
        """Write a manifest of the workspace with the files and the memory of `source`.

        Without `has_events` its event number is 0, for the workspace has no conversation. It is
        durable when this returns; who commits its head must see that `source` is still listed.
        """
        new = NewHead(workspace_id, parent, generation, self._clock(), has_events)
        made, copied = await self._manifests.write_copy(
            source.tenant, source.workspace_id, source.recovery_point, new
        )
        files, file_bytes = source.files, source.file_bytes
        if files is None or file_bytes is None:
            counted = (await self._read(source)).as_point(reason)
            files, file_bytes = counted.files, counted.file_bytes
        point = NewPoint(new.created, parent, files, file_bytes, reason)
        head = WorkspaceHead(made, generation, copied.event_number, point)
        return TakenOver(head, copied.session_id)

    async def difference(
        self, before: PointOf, after: PointOf, *, limit: int, beyond: bytes | None
    ) -> Difference:
        """Compare the lists of two points of a workspace."""
        old, new = await self._read(before), await self._read(after)
        return await run_in_thread(partial(difference, old, new, limit=limit, beyond=beyond))

    async def file(self, point: PointOf, path: bytes) -> Entry:
        """Return the regular file at a path of `/workspace`; `NoSuchFileError`."""
        manifest = await self._read(point)
        for entry in manifest.entries:
            if entry.place == ("workspace", path) and entry.kind == "file":
                return entry
        raise NoSuchFileError("the recovery point has no such file")

    def stream(self, point: PointOf, file: Entry) -> AsyncIterator[bytes]:
        """Yield the bytes of a file that `file` returned; `DamagedError`."""
        return StoredBytes(store=self._store, tenant=point.tenant).stream(file)

    async def _read(self, point: PointOf) -> Manifest:
        return await self._manifests.seen(point.tenant, point.workspace_id, point.recovery_point)
