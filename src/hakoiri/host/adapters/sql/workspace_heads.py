"""Each workspace's newest recovery point, in SQL."""

import sqlalchemy as sa

from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.adapters.sql.point_rows import add_point, move_head
from hakoiri.host.adapters.sql.schema import workspaces
from hakoiri.host.files.points import DEFAULT_RETENTION, Retention
from hakoiri.host.files.ports import FilesError, StaleGenerationError, WorkspaceHead


class SqlWorkspaceHeads:
    """`WorkspaceHeads` in SQL. Raises `DatabaseError` (a `FilesError`)."""

    def __init__(self, database: Database, *, retention: Retention = DEFAULT_RETENTION) -> None:
        """`retention` bounds each workspace's list of points."""
        self._database = database
        self._retention = retention

    async def head(self, workspace_id: str) -> WorkspaceHead | None:
        """Return the newest recovery point, or None before the first."""
        query = sa.select(workspaces).where(workspaces.c.id == workspace_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None or row.head_recovery_point is None:
            return None
        return WorkspaceHead(
            recovery_point=row.head_recovery_point,
            generation=row.head_generation,
            event_number=row.head_event_number,
        )

    async def move_head(self, workspace_id: str, head: WorkspaceHead) -> None:
        """Record `head` in one step, and list its point.

        Raises `StaleGenerationError` if its generation is older than the head's or than the
        workspace's newest claim: a container that was given up may not overwrite its successor.
        """
        query = (
            sa.select(workspaces.c.generation, workspaces.c.head_generation)
            .where(workspaces.c.id == workspace_id)
            .with_for_update()
        )
        async with self._database.writing() as connection:
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                raise FilesError(f"workspace {workspace_id} is gone; nothing can be saved for it")
            newest = max(row.generation, row.head_generation or 0)
            if head.generation < newest:
                raise StaleGenerationError(
                    f"generation {head.generation} may not save any more: {newest} is live"
                )
            await move_head(connection, workspace_id, head)
            if head.point is not None:
                await add_point(
                    connection, workspace_id, head, head.point, retention=self._retention
                )
