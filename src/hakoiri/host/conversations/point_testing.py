"""A list of recovery points in memory, for tests and trials: `PointStore` without its retention."""

from collections.abc import Sequence
from dataclasses import replace

from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.point_ports import (
    Forking,
    HeadMovedError,
    PointInUseError,
    Restoring,
)
from hakoiri.host.conversations.ports import TurnRunningError
from hakoiri.host.conversations.testing import MemoryConversations, MemoryWorkspaces
from hakoiri.host.files.points import RecoveryPoint
from hakoiri.host.files.ports import NoSuchPointError, WorkspaceHead
from hakoiri.wire.events import ConversationEvent


class MemoryPoints:
    """`PointStore` in memory, beside the conversations. `add` is what a save would do.

    Forks get no events. Set `commit_failure` and the next commit raises it.
    """

    def __init__(self, conversations: MemoryConversations) -> None:
        self._conversations = conversations
        self._workspaces = MemoryWorkspaces(conversations)
        self._lists: dict[str, list[RecoveryPoint]] = {}
        self.commit_failure: Exception | None = None
        self.restored: list[Restoring] = []
        self.forked: list[Forking] = []

    def add(self, workspace_id: str, head: WorkspaceHead) -> None:
        """List a head's point, and make it the newest."""
        if head.point is None:
            raise ValueError("a head without a point cannot be listed")
        mine = self._lists.setdefault(workspace_id, [])
        mine.append(
            RecoveryPoint(
                id=head.recovery_point,
                workspace_id=workspace_id,
                number=mine[-1].number + 1 if mine else 1,
                created_at=head.point.created,
                event_number=head.event_number,
                turn=0,
                generation=head.generation,
                files=head.point.files,
                file_bytes=head.point.file_bytes,
                reason=head.point.reason,
                is_kept=False,
                parent=head.point.parent,
                is_head=False,
            )
        )
        workspace = self._conversations.workspaces[workspace_id]
        self._conversations.workspaces[workspace_id] = replace(
            workspace, recovery_point=head.recovery_point
        )

    async def points(
        self, *, tenant: str, workspace_id: str, limit: int, before: str | None
    ) -> Sequence[RecoveryPoint]:
        """Newest first, from before the given id on."""
        mine = [*reversed(await self._listed(tenant, workspace_id))]
        if before is not None:
            last = await self.point(tenant=tenant, workspace_id=workspace_id, recovery_point=before)
            mine = mine[mine.index(last) + 1 :]
        return mine[:limit]

    async def point(
        self, *, tenant: str, workspace_id: str, recovery_point: str | None
    ) -> RecoveryPoint:
        """Return one; without an id, the newest."""
        for point in reversed(await self._listed(tenant, workspace_id)):
            if recovery_point in (None, point.id):
                return point
        raise NoSuchPointError("the workspace's list has no such recovery point")

    async def set_kept(
        self, *, tenant: str, workspace_id: str, recovery_point: str, is_kept: bool
    ) -> RecoveryPoint:
        """Keep it for good, or no longer."""
        point = await self.point(
            tenant=tenant, workspace_id=workspace_id, recovery_point=recovery_point
        )
        self._lists[workspace_id] = [
            replace(one, is_kept=is_kept) if one.id == point.id else one
            for one in self._lists[workspace_id]
        ]
        return replace(point, is_kept=is_kept)

    async def drop(self, *, tenant: str, workspace_id: str, recovery_point: str) -> None:
        """Take it from the list; `PointInUseError` for the newest."""
        point = await self.point(
            tenant=tenant, workspace_id=workspace_id, recovery_point=recovery_point
        )
        if point.is_head:
            raise PointInUseError("it is the newest recovery point")
        self._lists[workspace_id] = [one for one in self._lists[workspace_id] if one.id != point.id]

    async def commit_restore(self, restoring: Restoring) -> Sequence[ConversationEvent]:
        """Make the taken files the newest; the log gets nothing."""
        self._fail()
        workspace_id = restoring.workspace.id
        mark = await self._workspaces.save_mark(workspace_id)
        if mark.is_turn_running:
            raise TurnRunningError("a turn is running; wait for its end or interrupt it")
        await self.point(
            tenant=restoring.workspace.tenant,
            workspace_id=workspace_id,
            recovery_point=restoring.source,
        )
        now = self._conversations.workspaces[workspace_id]
        if (now.generation, now.recovery_point) != (restoring.generation, restoring.undo):
            raise HeadMovedError("the workspace has changed meanwhile; try again")
        head = restoring.taken.head
        self._conversations.workspaces[workspace_id] = replace(now, generation=head.generation)
        self.add(workspace_id, head)
        await self._conversations.set_session_id(workspace_id, restoring.taken.session_id)
        self.restored.append(restoring)
        return []

    async def commit_fork(self, forking: Forking) -> None:
        """Store the new workspace."""
        self._fail()
        original = await self._workspaces.workspace(
            tenant=forking.tenant, workspace_id=forking.source.workspace_id
        )
        await self._workspaces.create_workspace(
            Workspace(
                id=forking.workspace_id,
                tenant=forking.tenant,
                policy=original.policy,
                conversation_id=forking.conversation_id,
                created_at=forking.now,
            )
        )
        self.add(forking.workspace_id, forking.taken.head)
        self.forked.append(forking)

    def _fail(self) -> None:
        failure, self.commit_failure = self.commit_failure, None
        if failure is not None:
            raise failure

    async def _listed(self, tenant: str, workspace_id: str) -> list[RecoveryPoint]:
        workspace = await self._workspaces.workspace(tenant=tenant, workspace_id=workspace_id)
        return [
            replace(point, is_head=point.id == workspace.recovery_point)
            for point in self._lists.get(workspace_id, [])
        ]
