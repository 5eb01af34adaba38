"""Claims of a server that is gone, given up in SQL."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from hakoiri.host.adapters.sql.between_turns import tell_now
from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.adapters.sql.schema import claims, workspaces
from hakoiri.host.containers.ports import ClaimRecord
from hakoiri.wire.events import ConversationEvent, Notice


class SqlClaimTakeOver:
    """`ClaimTakeOver` in SQL. Raises `DatabaseError` (a `StoreError`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def give_up(
        self, record: ClaimRecord, *, notice: Notice, now: datetime
    ) -> Sequence[ConversationEvent] | None:
        """Forget the claim, count the generation up and tell the conversation, all or nothing."""
        async with self._database.writing() as connection:
            gone = await connection.execute(
                sa.delete(claims).where(claims.c.container_id == record.container_id)
            )
            if gone.rowcount == 0:
                return None
            await connection.execute(
                sa.update(workspaces)
                .where(workspaces.c.id == record.workspace_id)
                .values(generation=workspaces.c.generation + 1)
            )
            told = await tell_now(connection, record.workspace_id, notice, now=now)
            return [] if told is None else [told]
