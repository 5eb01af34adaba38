"""Events that no turn tells: they are numbered like all others, as the next turn's first."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hakoiri.host.adapters.sql.conversation_store import event_row
from hakoiri.host.adapters.sql.schema import conversations, events
from hakoiri.host.conversations.ports import TurnRunningError
from hakoiri.wire.events import ConversationEvent, EventData


async def conversation_at_rest(connection: AsyncConnection, workspace_id: str) -> str | None:
    """Lock the workspace's conversation and return its id, None if it has none.

    Raises `TurnRunningError`. Until the transaction ends no turn can begin.
    """
    query = (
        sa.select(conversations.c.id, conversations.c.running)
        .where(conversations.c.workspace_id == workspace_id)
        .with_for_update()
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    if row.running:
        raise TurnRunningError("a turn is running; wait for its end or interrupt it")
    return str(row.id)


async def tell_between_turns(
    connection: AsyncConnection, conversation_id: str, data: EventData, *, now: datetime
) -> ConversationEvent:
    """Append an event to a conversation that is at rest; it counts to the turn that comes next.

    A turn's last event stays its last one, so a reader of that turn is not misled.
    """
    query = sa.select(conversations).where(conversations.c.id == conversation_id)
    row = (await connection.execute(query)).one()
    return await _tell(connection, row, data, turn=row.turn + 1, now=now)


async def tell_now(
    connection: AsyncConnection, workspace_id: str, data: EventData, *, now: datetime
) -> ConversationEvent | None:
    """Append an event to the workspace's conversation, whatever it does; None if it has none.

    If a turn runs it is the turn's, and whoever ran it can append nothing more.
    """
    query = (
        sa.select(conversations)
        .where(conversations.c.workspace_id == workspace_id)
        .with_for_update()
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    turn = row.turn if row.running else row.turn + 1
    return await _tell(connection, row, data, turn=turn, now=now)


async def _tell(
    connection: AsyncConnection, row: sa.Row[Any], data: EventData, *, turn: int, now: datetime
) -> ConversationEvent:
    event = ConversationEvent.of(
        number=row.last_event + 1, time=now, conversation_id=row.id, turn=turn, data=data
    )
    await connection.execute(sa.insert(events), [event_row(event)])
    await connection.execute(
        sa.update(conversations).where(conversations.c.id == row.id).values(last_event=event.id)
    )
    return event
