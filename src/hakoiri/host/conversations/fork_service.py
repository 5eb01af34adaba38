"""Forks: a recovery point becomes a workspace, or a conversation with one, of its own.

No file's bytes are copied: both name the same packs of their tenant, and each goes on by itself.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from hakoiri.audit.event import AuditEvent, EventKind
from hakoiri.audit.writer import AuditLog
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.point_ports import Forking, PointFiles, PointStore
from hakoiri.host.conversations.point_service import place_of
from hakoiri.host.conversations.points_in_use import PointsInUse
from hakoiri.host.conversations.ports import WorkspaceStore
from hakoiri.host.conversations.workspace_saver import WorkspaceSaver
from hakoiri.host.files.points import PointReason, RecoveryPoint


@dataclass(frozen=True, slots=True)
class Fork:
    """What was made, and the point that it was made from."""

    workspace: Workspace
    source: RecoveryPoint


class ForkService:
    """Forks within a tenant: the caller has found the workspace to be the tenant's."""

    def __init__(
        self,
        *,
        points: PointStore,
        files: PointFiles,
        in_use: PointsInUse,
        store: WorkspaceStore,
        saver: WorkspaceSaver,
        clock: Callable[[], datetime],
        audit: AuditLog,
    ) -> None:
        self._points = points
        self._files = files
        self._in_use = in_use
        self._store = store
        self._saver = saver
        self._clock = clock
        self._audit = audit

    async def fork(
        self, workspace: Workspace, recovery_point: str | None, *, with_conversation: bool
    ) -> Fork:
        """Make a workspace of the point's files and memory, without an id of the newest point's.

        `with_conversation` makes a conversation as well, with the events up to the point. Raises
        `NoSuchPointError`, `NoSuchConversationError`, `FilesError`, `StoreError`.
        """
        if recovery_point is None:
            await self._saver.try_flush(workspace.id)
        source = await self._points.point(
            tenant=workspace.tenant, workspace_id=workspace.id, recovery_point=recovery_point
        )
        name = secrets.token_hex(16)
        conversation_id = f"c-{name}" if with_conversation else None
        with self._in_use.using(workspace.id, source.id):
            taken = await self._files.take_over(
                place_of(workspace, source),
                workspace_id=f"w-{name}",
                parent=None,
                generation=1,
                has_events=with_conversation,
                reason=PointReason.FORKED,
            )
            await self._points.commit_fork(
                Forking(
                    source=source,
                    tenant=workspace.tenant,
                    workspace_id=f"w-{name}",
                    conversation_id=conversation_id,
                    taken=taken,
                    text=_text(workspace, source),
                    now=self._clock(),
                )
            )
        self._audit.tell(
            AuditEvent(
                kind=EventKind.WORKSPACE_FORKED,
                tenant=workspace.tenant,
                workspace=f"w-{name}",
                conversation=conversation_id,
                details={"from": workspace.id, "recovery_point": source.id},
            )
        )
        made = await self._store.workspace(tenant=workspace.tenant, workspace_id=f"w-{name}")
        return Fork(made, source)


def _text(workspace: Workspace, source: RecoveryPoint) -> str:
    return (
        f"Forked from {workspace.conversation_id or workspace.id} at the recovery point "
        f"{source.id} (turn {source.turn}, event {source.event_number})."
    )
