"""A workspace's recovery points as its owner sees them: listed, made, compared, kept, dropped."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

import anyio

from hakoiri.host.conversations.live_tree import live_tree
from hakoiri.host.conversations.model import SaveMark, Workspace
from hakoiri.host.conversations.point_ports import PointFiles, PointInUseError, PointStore
from hakoiri.host.conversations.points_in_use import PointsInUse
from hakoiri.host.conversations.ports import (
    Containers,
    TurnRunningError,
    WorkspaceFiles,
    WorkspaceStore,
)
from hakoiri.host.conversations.workspace_saver import SAVE_TIMEOUT_S, WorkspaceSaver
from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.point_diff import Difference
from hakoiri.host.files.point_files import PointOf
from hakoiri.host.files.points import PointReason, RecoveryPoint
from hakoiri.host.files.ports import FilesError

HOLDER: Final = "recovery point"
"""Holds a container while its files are saved because somebody asked for it."""


class PointService:
    """Points of one workspace, which the caller has found to be the tenant's."""

    def __init__(
        self,
        *,
        points: PointStore,
        files: PointFiles,
        in_use: PointsInUse,
        store: WorkspaceStore,
        containers: Containers,
        saves: WorkspaceFiles,
        saver: WorkspaceSaver,
    ) -> None:
        self._points = points
        self._files = files
        self._in_use = in_use
        self._store = store
        self._containers = containers
        self._saves = saves
        self._saver = saver

    async def list(
        self, workspace: Workspace, *, limit: int, before: str | None
    ) -> Sequence[RecoveryPoint]:
        """Newest first, from before the given id on; `NoSuchPointError` if that is not listed."""
        return await self._points.points(
            tenant=workspace.tenant, workspace_id=workspace.id, limit=limit, before=before
        )

    async def find(self, workspace: Workspace, recovery_point: str | None) -> RecoveryPoint:
        """Return one, without an id the newest; `NoSuchPointError`."""
        return await self._points.point(
            tenant=workspace.tenant, workspace_id=workspace.id, recovery_point=recovery_point
        )

    async def keep(
        self, workspace: Workspace, recovery_point: str, *, is_kept: bool
    ) -> RecoveryPoint:
        """Keep it for good, or no longer; `NoSuchPointError`, `TooManyKeptError`."""
        return await self._points.set_kept(
            tenant=workspace.tenant,
            workspace_id=workspace.id,
            recovery_point=recovery_point,
            is_kept=is_kept,
        )

    async def drop(self, workspace: Workspace, recovery_point: str) -> None:
        """Take it from the list; `PointInUseError` for the newest and for what is restored now."""
        if self._in_use.is_used(workspace.id, recovery_point):
            raise PointInUseError("it is being restored or forked now; try again")
        await self._points.drop(
            tenant=workspace.tenant, workspace_id=workspace.id, recovery_point=recovery_point
        )

    async def save_now(self, workspace: Workspace) -> RecoveryPoint:
        """Make one of the files as they are now, or return the newest if nothing has changed.

        Raises `TurnRunningError`: a turn saves by itself, in step with what the agent remembers.
        """
        claim = await self._containers.join(workspace.id, holder=HOLDER)
        if claim is not None:
            try:
                mark = await mark_at_rest(self._store, workspace)
                with anyio.fail_after(SAVE_TIMEOUT_S):
                    await self._saves.save(
                        tenant=workspace.tenant,
                        workspace_id=workspace.id,
                        generation=claim.generation,
                        event_number=mark.event_number,
                        tree=live_tree(claim.directories),
                        session_id=mark.session_id,
                        reason=PointReason.ON_DEMAND,
                    )
            except TimeoutError as error:
                raise FilesError(f"saving took longer than {SAVE_TIMEOUT_S:g} s") from error
            finally:
                await self._containers.release(workspace.id, holder=HOLDER)
        return await self.find(workspace, None)

    async def difference(
        self,
        workspace: Workspace,
        before: str,
        after: str | None,
        *,
        limit: int,
        beyond: bytes | None,
    ) -> Difference:
        """Compare two listed points, without `after` with the newest; `NoSuchPointError`."""
        old = await self.find(workspace, before)
        new = await self.find(workspace, after)
        return await self._files.difference(
            place_of(workspace, old), place_of(workspace, new), limit=limit, beyond=beyond
        )

    async def file(
        self, workspace: Workspace, recovery_point: str, path: bytes
    ) -> tuple[Entry, AsyncIterator[bytes]]:
        """Return a file of a listed point and its bytes; `NoSuchFileError`, `DamagedError`."""
        place = place_of(workspace, await self.find(workspace, recovery_point))
        entry = await self._files.file(place, path)
        return entry, self._files.stream(place, entry)


async def mark_at_rest(store: WorkspaceStore, workspace: Workspace) -> SaveMark:
    """Return what a recovery point of now belongs to; `TurnRunningError` while a turn runs."""
    mark = await store.save_mark(workspace.id)
    if mark.is_turn_running:
        raise TurnRunningError("a turn is running; wait for its end or interrupt it")
    return mark


def place_of(workspace: Workspace, point: RecoveryPoint) -> PointOf:
    """Return where a point's manifest lies, and what it counts."""
    return PointOf(workspace.tenant, workspace.id, point.id, point.files, point.file_bytes)
