"""Whose container is whose, in SQL."""

from collections.abc import Callable, Sequence
from datetime import datetime

import sqlalchemy as sa

from hakoiri.host.adapters.sql.database import ConstraintError, Database
from hakoiri.host.adapters.sql.schema import claims, workspaces
from hakoiri.host.containers.ports import ClaimConflictError, ClaimRecord


class SqlClaimStore:
    """`ClaimStore` in SQL. Raises `DatabaseError` (a `ContainersError`)."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def claim(self, *, container_id: str, workspace_id: str, is_filled: bool = False) -> int:
        """Record the claim and count the workspace's generation up; return the new one.

        Raises `ClaimConflictError` if the workspace has a container, the container has a workspace,
        or the workspace is gone.
        """
        count_up = (
            sa.update(workspaces)
            .where(workspaces.c.id == workspace_id)
            .values(generation=workspaces.c.generation + 1)
            .returning(workspaces.c.generation)
        )
        try:
            async with self._database.writing() as connection:
                generation = await connection.scalar(count_up)
                if generation is None:
                    raise ClaimConflictError(f"workspace {workspace_id} is gone")
                await connection.execute(
                    sa.insert(claims).values(
                        container_id=container_id,
                        workspace_id=workspace_id,
                        generation=generation,
                        created_at=self._clock(),
                        is_filled=is_filled,
                    )
                )
        except ConstraintError as error:
            raise ClaimConflictError(
                f"workspace {workspace_id} or container {container_id} is already claimed"
            ) from error
        return int(generation)

    async def fill(self, container_id: str) -> None:
        """Record that the workspace's files are in the container."""
        change = sa.update(claims).where(claims.c.container_id == container_id)
        async with self._database.writing() as connection:
            await connection.execute(change.values(is_filled=True))

    async def release(self, container_id: str) -> None:
        """Forget the claim; nothing happens if there is none."""
        async with self._database.writing() as connection:
            await connection.execute(sa.delete(claims).where(claims.c.container_id == container_id))

    async def claimed(self) -> Sequence[ClaimRecord]:
        """All live claims."""
        query = sa.select(claims)
        async with self._database.reading() as connection:
            return [
                ClaimRecord(
                    row.container_id,
                    row.workspace_id,
                    row.generation,
                    row.created_at,
                    is_filled=row.is_filled,
                )
                for row in await connection.execute(query)
            ]
