"""The rows of recovery points, for the transactions that move heads."""

from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hakoiri.host.adapters.sql.schema import conversations, events, recovery_points, workspaces
from hakoiri.host.files.points import (
    Listed,
    NewPoint,
    PointReason,
    RecoveryPoint,
    Retention,
    expired,
)
from hakoiri.host.files.ports import WorkspaceHead

_DROPS_NOTHING: Final = (PointReason.BEFORE_RESTORE,)
"""The point that is about to be restored may be the oldest one; the restore's own point tidies."""


async def add_point(
    connection: AsyncConnection,
    workspace_id: str,
    head: WorkspaceHead,
    point: NewPoint,
    *,
    retention: Retention,
) -> None:
    """Add the head's point to the workspace's list, whose row is locked, and let old ones go."""
    mine = recovery_points.c.workspace_id == workspace_id
    last = await connection.scalar(sa.select(sa.func.max(recovery_points.c.number)).where(mine))
    await connection.execute(
        sa.insert(recovery_points).values(
            workspace_id=workspace_id,
            number=(last or 0) + 1,
            id=head.recovery_point,
            created_at=point.created,
            event_number=head.event_number,
            turn=await _turn_of(connection, workspace_id, head.event_number),
            generation=head.generation,
            files=point.files,
            file_bytes=point.file_bytes,
            reason=point.reason.value,
            kept=False,
            parent=point.parent,
        )
    )
    if point.reason not in _DROPS_NOTHING:
        await drop_expired(connection, workspace_id, now=point.created, retention=retention)


async def move_head(connection: AsyncConnection, workspace_id: str, head: WorkspaceHead) -> None:
    """Write the head into the workspace's row, which is locked and was checked."""
    await connection.execute(
        sa.update(workspaces)
        .where(workspaces.c.id == workspace_id)
        .values(
            head_recovery_point=head.recovery_point,
            head_generation=head.generation,
            head_event_number=head.event_number,
        )
    )


def point_of(row: sa.Row[Any], *, head: str | None) -> RecoveryPoint:
    """Return the row as a point; `head` is the workspace's newest."""
    return RecoveryPoint(
        id=row.id,
        workspace_id=row.workspace_id,
        number=row.number,
        created_at=row.created_at,
        event_number=row.event_number,
        turn=row.turn,
        generation=row.generation,
        files=row.files,
        file_bytes=row.file_bytes,
        reason=PointReason(row.reason),
        is_kept=row.kept,
        parent=row.parent,
        is_head=row.id == head,
    )


async def _turn_of(connection: AsyncConnection, workspace_id: str, event_number: int) -> int:
    query = (
        sa.select(events.c.turn)
        .select_from(events.join(conversations))
        .where(conversations.c.workspace_id == workspace_id, events.c.id == event_number)
    )
    return await connection.scalar(query) or 0


async def drop_expired(
    connection: AsyncConnection, workspace_id: str, *, now: datetime, retention: Retention
) -> int:
    """Let go what is to go from the list of a workspace, whose row is locked; return how many."""
    mine = recovery_points.c.workspace_id == workspace_id
    columns = recovery_points.c
    rows = await connection.execute(
        sa.select(columns.number, columns.created_at, columns.reason, columns.kept).where(mine)
    )
    listed = [Listed(row.number, row.created_at, PointReason(row.reason), row.kept) for row in rows]
    gone = expired(listed, retention=retention, now=now)
    if gone:
        await connection.execute(
            sa.delete(recovery_points).where(mine, recovery_points.c.number.in_(gone))
        )
    return len(gone)
