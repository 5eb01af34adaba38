"""A conversation's log up to a recovery point, as the log of another conversation."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hakoiri.host.adapters.sql.between_turns import tell_between_turns
from hakoiri.host.adapters.sql.conversation_store import event_row
from hakoiri.host.adapters.sql.schema import conversations, events
from hakoiri.host.conversations.point_ports import Forking
from hakoiri.host.conversations.ports import NoSuchConversationError
from hakoiri.wire.events import ConversationEvent, Error, Notice
from hakoiri.wire.terminal_types import TERMINAL_TYPES

_AFTERMATH: Final = ("file_synced", "notice", *sorted(TERMINAL_TYPES))
"""What a turn's log may get after the agent's last word: how it was saved, and how it ended."""

CUT: Final = Error(
    code="forked",
    text="The turn went on here when the recovery point was made that this conversation was forked "
    "from; what came after is in the other conversation alone.",
)


@dataclass(frozen=True, slots=True)
class _Cut:
    """Up to which event the log goes, the turn that it ends in, and whether that is cut off."""

    last_event: int
    turn: int
    is_within_turn: bool


async def fork_conversation(connection: AsyncConnection, forking: Forking, new_id: str) -> None:
    """Store the conversation `new_id` with the events up to the point; `NoSuchConversationError`.

    Each event keeps its number, turn and time. A turn that is cut off is ended with an error, so
    that every turn of the new log has a last event.
    """
    query = sa.select(conversations).where(
        conversations.c.workspace_id == forking.source.workspace_id,
        conversations.c.tenant == forking.tenant,
    )
    original = (await connection.execute(query)).one_or_none()
    if original is None:
        raise NoSuchConversationError("there is no such conversation")
    cut = await _cut(connection, original.id, forking.source.event_number)
    await connection.execute(sa.insert(conversations).values(_row(original, forking, new_id, cut)))
    await _copy(connection, original.id, new_id, up_to=cut.last_event)
    if cut.is_within_turn:
        await _end_turn(connection, new_id, cut, now=forking.now)
    notice = Notice(code="forked", text=forking.text)
    await tell_between_turns(connection, new_id, notice, now=forking.now)


async def _cut(connection: AsyncConnection, conversation_id: str, event_number: int) -> _Cut:
    mine = events.c.conversation_id == conversation_id
    last = await _with_aftermath(connection, conversation_id, event_number)
    columns = sa.select(events.c.id, events.c.turn).order_by(events.c.id.desc()).limit(1)
    said = columns.where(mine, events.c.id <= last, events.c.type == "user_message")
    ended = columns.where(mine, events.c.id <= last, events.c.type.in_(TERMINAL_TYPES))
    message = (await connection.execute(said)).one_or_none()
    end = (await connection.execute(ended)).one_or_none()
    if message is None:
        return _Cut(last, turn=0, is_within_turn=False)
    return _Cut(last, message.turn, is_within_turn=end is None or end.id < message.id)


async def _with_aftermath(
    connection: AsyncConnection, conversation_id: str, event_number: int
) -> int:
    """Return the turn's last event if the agent did nothing in it after the point was made."""
    mine = events.c.conversation_id == conversation_id
    turn = await connection.scalar(
        sa.select(events.c.turn).where(mine, events.c.id == event_number)
    )
    later = (mine, events.c.turn == turn, events.c.id > event_number)
    more = sa.select(sa.func.count()).where(*later, events.c.type.not_in(_AFTERMATH))
    if turn is None or await connection.scalar(more):
        return event_number
    return await connection.scalar(sa.select(sa.func.max(events.c.id)).where(*later)) or (
        event_number
    )


async def _copy(connection: AsyncConnection, old_id: str, new_id: str, *, up_to: int) -> None:
    names = [column.name for column in events.columns if column.name != "conversation_id"]
    chosen = (
        sa.select(sa.literal(new_id), *(events.c[name] for name in names))
        .where(events.c.conversation_id == old_id, events.c.id <= up_to)
        .order_by(events.c.id)
    )
    await connection.execute(sa.insert(events).from_select(["conversation_id", *names], chosen))


async def _end_turn(
    connection: AsyncConnection, conversation_id: str, cut: _Cut, *, now: datetime
) -> None:
    event = ConversationEvent.of(
        number=cut.last_event + 1,
        time=now,
        conversation_id=conversation_id,
        turn=cut.turn,
        data=CUT,
    )
    await connection.execute(sa.insert(events), [event_row(event)])
    await connection.execute(
        sa.update(conversations)
        .where(conversations.c.id == conversation_id)
        .values(last_event=event.id)
    )


def _row(original: sa.Row[Any], forking: Forking, new_id: str, cut: _Cut) -> dict[str, Any]:
    return {
        "id": new_id,
        "tenant": forking.tenant,
        "kind": original.kind,
        "workspace_id": forking.workspace_id,
        "policy": original.policy,
        "options": original.options,
        "runtime": original.runtime,
        "created_at": forking.now,
        "turn": cut.turn,
        "running": False,
        "last_event": cut.last_event,
        "agent_seq": 0,
    }
