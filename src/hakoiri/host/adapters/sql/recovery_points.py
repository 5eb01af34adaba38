"""Lists of recovery points in SQL, and what moves a head other than a save."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hakoiri.host.adapters.sql.between_turns import conversation_at_rest, tell_between_turns
from hakoiri.host.adapters.sql.conversation_fork import fork_conversation
from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.adapters.sql.point_rows import add_point, move_head, point_of
from hakoiri.host.adapters.sql.schema import claims, recovery_points, workspaces
from hakoiri.host.conversations.point_ports import (
    Forking,
    HeadMovedError,
    PointInUseError,
    Restoring,
    TooManyKeptError,
)
from hakoiri.host.conversations.ports import NoSuchWorkspaceError
from hakoiri.host.files.points import DEFAULT_RETENTION, RecoveryPoint, Retention
from hakoiri.host.files.ports import ManifestName, NoSuchPointError
from hakoiri.wire.events import ConversationEvent, Notice

RESTORED = "workspace-restored"
"""The code of the notice that tells of a restore."""


class SqlRecoveryPoints:
    """`PointStore` and `LiveManifests` in SQL. Raises `DatabaseError`.

    A conversation's row is locked before its workspace's, as everywhere.
    """

    def __init__(self, database: Database, *, retention: Retention = DEFAULT_RETENTION) -> None:
        """`retention` bounds each workspace's list."""
        self._database = database
        self._retention = retention

    async def points(
        self, *, tenant: str, workspace_id: str, limit: int, before: str | None
    ) -> Sequence[RecoveryPoint]:
        """Newest first, from before the given id on."""
        query = sa.select(recovery_points).where(recovery_points.c.workspace_id == workspace_id)
        async with self._database.reading() as connection:
            workspace = await _owned(connection, tenant, workspace_id)
            if before is not None:
                last = await _row(connection, workspace_id, before)
                query = query.where(recovery_points.c.number < last.number)
            query = query.order_by(recovery_points.c.number.desc()).limit(limit)
            head = workspace.head_recovery_point
            return [point_of(row, head=head) for row in await connection.execute(query)]

    async def point(
        self, *, tenant: str, workspace_id: str, recovery_point: str | None
    ) -> RecoveryPoint:
        """Return one; without an id, the newest."""
        async with self._database.reading() as connection:
            workspace = await _owned(connection, tenant, workspace_id)
            head = workspace.head_recovery_point
            if recovery_point is None and head is None:
                raise NoSuchPointError("the workspace has no recovery point yet")
            return point_of(await _row(connection, workspace_id, recovery_point or head), head=head)

    async def set_kept(
        self, *, tenant: str, workspace_id: str, recovery_point: str, is_kept: bool
    ) -> RecoveryPoint:
        """Keep it for good, or no longer; `TooManyKeptError`."""
        mine = recovery_points.c.workspace_id == workspace_id
        async with self._database.writing() as connection:
            workspace = await _owned(connection, tenant, workspace_id, lock=True)
            row = await _row(connection, workspace_id, recovery_point)
            kept = sa.select(sa.func.count()).where(
                mine, recovery_points.c.kept.is_(sa.true()), recovery_points.c.id != recovery_point
            )
            limit = self._retention.kept_points
            if is_kept and (await connection.scalar(kept) or 0) >= limit:
                raise TooManyKeptError(f"{limit} recovery points may be kept; let go of one first")
            await connection.execute(
                sa.update(recovery_points)
                .where(mine, recovery_points.c.number == row.number)
                .values(kept=is_kept)
            )
            row = await _row(connection, workspace_id, recovery_point)
            return point_of(row, head=workspace.head_recovery_point)

    async def drop(self, *, tenant: str, workspace_id: str, recovery_point: str) -> None:
        """Take it from the list; `PointInUseError` for the newest."""
        async with self._database.writing() as connection:
            workspace = await _owned(connection, tenant, workspace_id, lock=True)
            row = await _row(connection, workspace_id, recovery_point)
            if recovery_point == workspace.head_recovery_point:
                raise PointInUseError(
                    "it is the newest recovery point, which holds the workspace's files; "
                    "restore to another, or delete the workspace"
                )
            await connection.execute(
                sa.delete(recovery_points).where(
                    recovery_points.c.workspace_id == workspace_id,
                    recovery_points.c.number == row.number,
                )
            )

    async def commit_restore(self, restoring: Restoring) -> Sequence[ConversationEvent]:
        """Make the taken files the newest, in one transaction; return what the log got."""
        workspace_id, head = restoring.workspace.id, restoring.taken.head
        async with self._database.writing() as connection:
            conversation_id = await conversation_at_rest(connection, workspace_id)
            found = await _owned(connection, restoring.workspace.tenant, workspace_id, lock=True)
            before = (found.generation, found.head_recovery_point)
            if before != (restoring.generation, restoring.undo):
                raise HeadMovedError("the workspace has changed meanwhile; try again")
            await _row(connection, workspace_id, restoring.source)
            # A container from before is nobody's now: no save of its may follow, and no server that
            # comes back may take it for the workspace's.
            await connection.execute(sa.delete(claims).where(claims.c.workspace_id == workspace_id))
            await connection.execute(
                sa.update(workspaces)
                .where(workspaces.c.id == workspace_id)
                .values(generation=head.generation, session_id=restoring.taken.session_id)
            )
            await move_head(connection, workspace_id, head)
            if head.point is not None:
                await add_point(
                    connection, workspace_id, head, head.point, retention=self._retention
                )
            if conversation_id is None:
                return []
            notice = Notice(code=RESTORED, text=restoring.text)
            return [
                await tell_between_turns(connection, conversation_id, notice, now=restoring.now)
            ]

    async def commit_fork(self, forking: Forking) -> None:
        """Store the new workspace, and its conversation with the events so far."""
        source, head = forking.source, forking.taken.head
        async with self._database.writing() as connection:
            # Locked, so that its objects are needed by a list until the new head is there.
            original = await _owned(connection, forking.tenant, source.workspace_id, lock=True)
            await _row(connection, source.workspace_id, source.id)
            await connection.execute(
                sa.insert(workspaces).values(
                    id=forking.workspace_id,
                    tenant=forking.tenant,
                    policy=original.policy,
                    created_at=forking.now,
                    session_id=forking.taken.session_id,
                )
            )
            if forking.conversation_id is not None:
                await fork_conversation(connection, forking, forking.conversation_id)
            await move_head(connection, forking.workspace_id, head)
            if head.point is not None:
                await add_point(
                    connection, forking.workspace_id, head, head.point, retention=self._retention
                )

    async def live_manifests(self, tenant: str) -> frozenset[ManifestName]:
        """Return all manifests that a head or a list names, in one snapshot."""
        heads = sa.select(workspaces.c.id, workspaces.c.head_recovery_point).where(
            workspaces.c.tenant == tenant, workspaces.c.head_recovery_point.is_not(None)
        )
        listed = (
            sa.select(recovery_points.c.workspace_id, recovery_points.c.id)
            .select_from(recovery_points.join(workspaces))
            .where(workspaces.c.tenant == tenant)
        )
        async with self._database.reading() as connection:
            rows = await connection.execute(sa.union(heads, listed))
            return frozenset(ManifestName(*row) for row in rows)


async def _owned(
    connection: AsyncConnection, tenant: str, workspace_id: str, *, lock: bool = False
) -> sa.Row[Any]:
    query = sa.select(workspaces).where(
        workspaces.c.id == workspace_id, workspaces.c.tenant == tenant
    )
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NoSuchWorkspaceError("there is no such workspace")
    return row


async def _row(
    connection: AsyncConnection, workspace_id: str, recovery_point: str | None
) -> sa.Row[Any]:
    query = sa.select(recovery_points).where(
        recovery_points.c.workspace_id == workspace_id, recovery_points.c.id == recovery_point
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NoSuchPointError("the workspace's list has no such recovery point")
    return row
