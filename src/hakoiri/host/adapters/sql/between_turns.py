"""Events that no turn tells: they are numbered like all others, as the next turn's first."""

from datetime import datetime

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
    query = sa.select(conversations.c.turn, conversations.c.last_event).where(
        conversations.c.id == conversation_id
    )
    row = (await connection.execute(query)).one()
    event = ConversationEvent.of(
        number=row.last_event + 1,
        time=now,
        conversation_id=conversation_id,
        turn=row.turn + 1,
        data=data,
    )
    await connection.execute(sa.insert(events), [event_row(event)])
    await connection.execute(
        sa.update(conversations)
        .where(conversations.c.id == conversation_id)
        .values(last_event=event.id)
    )
    return event
