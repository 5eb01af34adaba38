"""Putting a workspace back to one of its recovery points.

A live container is frozen, what it holds is saved as the point to come back to, and then the older
point's files become the newest in one transaction. The container is given up: the next one begins
with those files and the agent's memory of that moment. So nothing is ever written into a tree that
a container may change meanwhile, and no process goes on over files that were swapped under it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import anyio

from hakoiri.audit.event import AuditEvent, EventKind
from hakoiri.audit.writer import AuditLog
from hakoiri.host.containers.holding_still import Still
from hakoiri.host.conversations.event_feed import EventFeed
from hakoiri.host.conversations.live_tree import live_tree
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.point_ports import (
    HeadMovedError,
    PointFiles,
    PointStore,
    Restoring,
    StillContainers,
)
from hakoiri.host.conversations.point_service import mark_at_rest, place_of
from hakoiri.host.conversations.points_in_use import PointsInUse
from hakoiri.host.conversations.ports import (
    ConversationsError,
    StoreError,
    WorkspaceFiles,
    WorkspaceStore,
)
from hakoiri.host.conversations.workspace_saver import SAVE_TIMEOUT_S, WorkspaceSaver
from hakoiri.host.files.points import PointReason, RecoveryPoint
from hakoiri.host.files.ports import FilesError
from hakoiri.wire.events import ConversationEvent

ATTEMPTS: Final = 5
"""A workspace that is changed at the same moment is looked at again."""


@dataclass(frozen=True, slots=True)
class Restored:
    """How a restore ended: the newest point now, and the one that takes it back.

    `left_out` names what of the files before is not in `undo`, a printable line each, bounded.
    """

    head: RecoveryPoint
    undo: str
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Before:
    """What there was before: the newest point and the generation that it belongs to."""

    undo: str
    generation: int
    left_out: tuple[str, ...] = ()


class RestoreService:
    """Restores workspaces, each by itself."""

    def __init__(
        self,
        *,
        points: PointStore,
        files: PointFiles,
        in_use: PointsInUse,
        store: WorkspaceStore,
        containers: StillContainers,
        saves: WorkspaceFiles,
        saver: WorkspaceSaver,
        feed: EventFeed,
        clock: Callable[[], datetime],
        audit: AuditLog,
    ) -> None:
        self._points = points
        self._files = files
        self._in_use = in_use
        self._store = store
        self._containers = containers
        self._saves = saves
        self._saver = saver
        self._feed = feed
        self._clock = clock
        self._audit = audit

    async def restore(
        self, workspace: Workspace, recovery_point: str, *, expected_head: str | None = None
    ) -> Restored:
        """Make the point's files and memory the newest; return that, and how to undo it.

        With `expected_head` only if that is the newest now (`HeadMovedError`). Raises
        `NoSuchPointError`, `TurnRunningError`, `WorkspaceInUseError` while a command runs, or a
        `FilesError`, `ContainersError` or `StoreError`; then the workspace is as it was.
        """
        with self._in_use.using(workspace.id, recovery_point):
            source = await self._points.point(
                tenant=workspace.tenant, workspace_id=workspace.id, recovery_point=recovery_point
            )
            await self._check(workspace, expected_head)
            await self._saver.flush(workspace.id)
            async with self._containers.still(workspace.id) as still:
                before, events = await self._put_back(workspace, source, still)
        self._feed.publish(events)
        self._audit.tell(
            AuditEvent(
                kind=EventKind.FILES_RESTORED,
                tenant=workspace.tenant,
                workspace=workspace.id,
                conversation=workspace.conversation_id,
                details={"recovery_point": recovery_point, "undo": before.undo},
            )
        )
        head = await self._points.point(
            tenant=workspace.tenant, workspace_id=workspace.id, recovery_point=None
        )
        return Restored(head, before.undo, before.left_out)

    async def _check(self, workspace: Workspace, expected_head: str | None) -> None:
        """Refuse early, before anything is frozen; the commit looks again."""
        await mark_at_rest(self._store, workspace)
        if expected_head is None:
            return
        newest = await self._points.point(
            tenant=workspace.tenant, workspace_id=workspace.id, recovery_point=None
        )
        if newest.id != expected_head:
            raise HeadMovedError("the newest recovery point is another one by now")

    async def _put_back(
        self, workspace: Workspace, source: RecoveryPoint, still: Still
    ) -> tuple[_Before, list[ConversationEvent]]:
        for _ in range(ATTEMPTS):
            before = await self._before(workspace, still)
            taken = await self._files.take_over(
                place_of(workspace, source),
                workspace_id=workspace.id,
                parent=before.undo,
                generation=max(before.generation, 1) + 1,
                has_events=workspace.conversation_id is not None,
                reason=PointReason.RESTORED,
            )
            # From here on the container may be one of the past, also if no answer comes.
            still.give_up()
            try:
                events = await self._points.commit_restore(
                    Restoring(
                        workspace=workspace,
                        source=source.id,
                        undo=before.undo,
                        generation=before.generation,
                        taken=taken,
                        text=_text(source, before.undo),
                        now=self._clock(),
                    )
                )
            except StoreError:
                raise
            except HeadMovedError:
                still.keep()
            except (ConversationsError, FilesError):
                still.keep()
                raise
            else:
                return before, list(events)
        raise HeadMovedError("the workspace keeps changing; try again")

    async def _before(self, workspace: Workspace, still: Still) -> _Before:
        """Save what a live container holds; of one that is not live, the newest point has all."""
        if still.directories is None or still.generation is None:
            found = await self._store.workspace(tenant=workspace.tenant, workspace_id=workspace.id)
            newest = await self._points.point(
                tenant=workspace.tenant, workspace_id=workspace.id, recovery_point=None
            )
            return _Before(newest.id, found.generation)
        mark = await mark_at_rest(self._store, workspace)
        try:
            with anyio.fail_after(SAVE_TIMEOUT_S):
                report = await self._saves.save(
                    tenant=workspace.tenant,
                    workspace_id=workspace.id,
                    generation=still.generation,
                    event_number=mark.event_number,
                    tree=live_tree(still.directories),
                    session_id=mark.session_id,
                    reason=PointReason.BEFORE_RESTORE,
                )
        except TimeoutError as error:
            raise FilesError(f"saving took longer than {SAVE_TIMEOUT_S:g} s") from error
        return _Before(report.recovery_point, still.generation, tuple(report.left_out))


def _text(source: RecoveryPoint, undo: str) -> str:
    return (
        f"Files and memory were put back to the recovery point {source.id} (turn {source.turn}, "
        f"event {source.event_number}). What was there before is the recovery point {undo}."
    )
