"""Lists of recovery points that nobody adds to, kept to their bounds all the same."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.adapters.sql.point_rows import drop_expired
from hakoiri.host.adapters.sql.schema import recovery_points, workspaces
from hakoiri.host.files.points import FLEETING, Retention


class SqlPointRetention:
    """`PointLists` in SQL. Raises `DatabaseError` (a `FilesError`)."""

    def __init__(self, database: Database, *, retention: Retention) -> None:
        self._database = database
        self._retention = retention

    async def overfull(self, tenant: str, *, now: datetime) -> Sequence[str]:
        """Return the tenant's workspaces whose lists may hold something that is to go."""
        held, columns = self._retention, recovery_points.c
        is_fleeting = columns.reason.in_([reason.value for reason in FLEETING])
        running = sa.func.sum(sa.case((is_fleeting, 1), else_=0))
        may_go = [sa.func.count() >= held.points, running > held.running_points]
        if held.max_age is not None:
            may_go.append(sa.func.min(columns.created_at) < now - held.max_age)
        query = (
            sa.select(columns.workspace_id)
            .select_from(recovery_points.join(workspaces))
            .where(
                workspaces.c.tenant == tenant,
                columns.kept.is_(sa.false()),
                columns.id != workspaces.c.head_recovery_point,
            )
            .group_by(columns.workspace_id)
            .having(sa.or_(*may_go))
            .order_by(columns.workspace_id)
        )
        async with self._database.reading() as connection:
            return (await connection.scalars(query)).all()

    async def drop_expired(self, workspace_id: str, *, now: datetime) -> int:
        """Let go what is to go from one list; return how many points."""
        locked = sa.select(workspaces.c.id).where(workspaces.c.id == workspace_id)
        async with self._database.writing() as connection:
            if await connection.scalar(locked.with_for_update()) is None:
                return 0  # deleted meanwhile
            return await drop_expired(connection, workspace_id, now=now, retention=self._retention)
