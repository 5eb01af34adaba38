"""Workspaces in SQL."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.adapters.sql.schema import conversations, workspaces
from hakoiri.host.conversations.model import SaveMark, Workspace
from hakoiri.host.conversations.ports import (
    NoSuchConversationError,
    NoSuchWorkspaceError,
    WorkspaceOwnedError,
)

_WITH_CONVERSATION: Final = sa.select(
    workspaces, conversations.c.id.label("conversation_id")
).select_from(workspaces.outerjoin(conversations, conversations.c.workspace_id == workspaces.c.id))

_UNKNOWN_AGE: Final = datetime.fromtimestamp(0, UTC)


class SqlWorkspaceStore:
    """`WorkspaceStore` in SQL. Raises `DatabaseError` (a `StoreError`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create_workspace(self, workspace: Workspace) -> None:
        """Store a new one without a conversation."""
        async with self._database.writing() as connection:
            await connection.execute(
                sa.insert(workspaces).values(
                    id=workspace.id,
                    tenant=workspace.tenant,
                    policy=workspace.policy,
                    created_at=workspace.created_at,
                )
            )

    async def workspace(self, *, tenant: str, workspace_id: str) -> Workspace:
        """Return it; `NoSuchWorkspaceError` if it is not there or another tenant's."""
        async with self._database.reading() as connection:
            return await _owned(connection, tenant, workspace_id)

    async def find_workspace(self, workspace_id: str) -> Workspace | None:
        """Return it, whosever it is; None if there is none."""
        query = _WITH_CONVERSATION.where(workspaces.c.id == workspace_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _workspace(row)

    async def workspace_of(self, *, tenant: str, conversation_id: str) -> Workspace:
        """Return a conversation's; `NoSuchConversationError`, `NoSuchWorkspaceError` for a chat."""
        query = (
            sa.select(workspaces, conversations.c.id.label("conversation_id"))
            .select_from(conversations.outerjoin(workspaces))
            .where(conversations.c.id == conversation_id, conversations.c.tenant == tenant)
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NoSuchConversationError("there is no such conversation")
        if row.id is None:
            raise NoSuchWorkspaceError("a chat has no workspace")
        return _workspace(row)

    async def list_workspaces(
        self, *, tenant: str, limit: int, before: str | None
    ) -> Sequence[Workspace]:
        """Newest first, from before the given id on."""
        query = _WITH_CONVERSATION.where(workspaces.c.tenant == tenant)
        async with self._database.reading() as connection:
            if before is not None:
                last = await _owned(connection, tenant, before)
                query = query.where(
                    sa.tuple_(workspaces.c.created_at, workspaces.c.id)
                    < sa.tuple_(sa.literal(last.created_at), sa.literal(last.id))
                )
            query = query.order_by(workspaces.c.created_at.desc(), workspaces.c.id.desc())
            return [_workspace(row) for row in await connection.execute(query.limit(limit))]

    async def delete_workspace(self, *, tenant: str, workspace_id: str) -> None:
        """Forget one without a conversation; `WorkspaceOwnedError` for another."""
        async with self._database.writing() as connection:
            found = await _owned(connection, tenant, workspace_id)
            if found.conversation_id is not None:
                raise WorkspaceOwnedError(
                    f"the workspace goes with its conversation; delete {found.conversation_id}"
                )
            await connection.execute(sa.delete(workspaces).where(workspaces.c.id == workspace_id))

    async def save_mark(self, workspace_id: str) -> SaveMark:
        """Return what a recovery point of now belongs to; `NoSuchWorkspaceError`."""
        query = (
            sa.select(workspaces.c.session_id, conversations.c.last_event, conversations.c.running)
            .select_from(
                workspaces.outerjoin(conversations, conversations.c.workspace_id == workspaces.c.id)
            )
            .where(workspaces.c.id == workspace_id)
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NoSuchWorkspaceError("there is no such workspace")
        return SaveMark(
            session_id=row.session_id,
            event_number=row.last_event or 0,
            is_turn_running=bool(row.running),
        )


async def _owned(connection: AsyncConnection, tenant: str, workspace_id: str) -> Workspace:
    query = _WITH_CONVERSATION.where(workspaces.c.id == workspace_id, workspaces.c.tenant == tenant)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NoSuchWorkspaceError("there is no such workspace")
    return _workspace(row)


def _workspace(row: sa.Row[Any]) -> Workspace:
    return Workspace(
        id=row.id,
        tenant=row.tenant,
        policy=row.policy,
        conversation_id=row.conversation_id,
        created_at=row.created_at or _UNKNOWN_AGE,
        generation=row.generation,
        recovery_point=row.head_recovery_point,
    )
