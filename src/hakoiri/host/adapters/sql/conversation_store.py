"""Conversations and their event logs in SQL."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.adapters.sql.schema import conversations, events, workspaces
from hakoiri.host.conversations.model import (
    MILESTONES,
    MILESTONES_LIMIT,
    Conversation,
    ConversationKind,
    UnfinishedTurn,
)
from hakoiri.host.conversations.ports import (
    NoSuchConversationError,
    NoTurnRunningError,
    TurnRunningError,
    TurnTakenOverError,
)
from hakoiri.wire.agent import AgentOptions
from hakoiri.wire.events import ConversationEvent, EventData, UserMessage
from hakoiri.wire.terminal_types import TERMINAL_TYPES

READ_LIMIT_BYTES: Final = 1024 * 1024
"""One `read` stops here (after at least one event), so that a watcher costs bounded memory."""


class SqlConversationStore:
    """`ConversationStore` in SQL. A conversation's row is the lock under which numbers are given.

    On SQLite there is one writer at a time; on PostgreSQL `FOR UPDATE` makes writers of the same
    conversation take turns. Raises `DatabaseError` (a `StoreError`).
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, conversation: Conversation) -> None:
        """Store a new conversation, and its workspace if it has one."""
        async with self._database.writing() as connection:
            if conversation.workspace_id is not None:
                await connection.execute(
                    sa.insert(workspaces).values(
                        id=conversation.workspace_id,
                        tenant=conversation.tenant,
                        policy=conversation.policy,
                        created_at=conversation.created_at,
                    )
                )
            await connection.execute(sa.insert(conversations).values(_row(conversation)))

    async def get(self, *, tenant: str, conversation_id: str) -> Conversation:
        """Return it; `NoSuchConversationError` if it is not there or another tenant's."""
        async with self._database.reading() as connection:
            return await _owned(connection, tenant, conversation_id)

    async def list(self, *, tenant: str, limit: int, before: str | None) -> Sequence[Conversation]:
        """Newest first, from before the given id on."""
        query = sa.select(conversations).where(conversations.c.tenant == tenant)
        async with self._database.reading() as connection:
            if before is not None:
                last = await _owned(connection, tenant, before)
                query = query.where(
                    sa.tuple_(conversations.c.created_at, conversations.c.id)
                    < sa.tuple_(sa.literal(last.created_at), sa.literal(last.id))
                )
            query = query.order_by(
                conversations.c.created_at.desc(), conversations.c.id.desc()
            ).limit(limit)
            return [_conversation(row) for row in await connection.execute(query)]

    async def delete(self, *, tenant: str, conversation_id: str) -> None:
        """Forget it with its events and workspace; `TurnRunningError` while a turn runs."""
        async with self._database.writing() as connection:
            conversation = await _owned(connection, tenant, conversation_id, lock=True)
            if conversation.running:
                raise TurnRunningError("a turn is running; interrupt it, then delete")
            await connection.execute(
                sa.delete(conversations).where(conversations.c.id == conversation_id)
            )
            if conversation.workspace_id is not None:
                await connection.execute(
                    sa.delete(workspaces).where(workspaces.c.id == conversation.workspace_id)
                )

    async def begin_turn(
        self, *, conversation_id: str, text: str, now: datetime
    ) -> ConversationEvent:
        """Record the user's message and that a turn runs, in one transaction."""
        async with self._database.writing() as connection:
            conversation = await _locked(connection, conversation_id)
            if conversation.running:
                raise TurnRunningError(
                    "a turn is running in this conversation; wait for its end or interrupt it"
                )
            return (
                await _append(
                    connection,
                    replace(conversation, agent_seq=0),
                    turn=conversation.turn + 1,
                    data=[UserMessage(text=text)],
                    now=now,
                )
            )[0]

    async def append(
        self,
        *,
        conversation_id: str,
        turn: int,
        events: Sequence[EventData],
        now: datetime,
        agent_seq: int | None = None,
        follows: int | None = None,
    ) -> Sequence[ConversationEvent]:
        """Record events in order, in one transaction; a terminal event also ends the turn."""
        async with self._database.writing() as connection:
            conversation = await _locked(connection, conversation_id)
            if not conversation.running or conversation.turn != turn:
                raise NoTurnRunningError(f"turn {turn} is not running; its log is closed")
            if follows is not None and conversation.last_event != follows:
                raise TurnTakenOverError(f"turn {turn} is somebody else's now")
            if agent_seq is not None:
                conversation = replace(conversation, agent_seq=agent_seq)
            return await _append(connection, conversation, turn=turn, data=events, now=now)

    async def read(
        self, *, conversation_id: str, after: int, limit: int
    ) -> Sequence[ConversationEvent]:
        """Events numbered above `after`, in order; fewer than `limit` if they are large."""
        mine = (events.c.conversation_id == conversation_id) & (events.c.id > after)
        async with self._database.reading() as connection:
            sizes = await connection.execute(
                sa.select(events.c.id, events.c.size_bytes)
                .where(mine)
                .order_by(events.c.id)
                .limit(limit)
            )
            last = _last_that_fits([(row.id, row.size_bytes) for row in sizes])
            if last is None:
                return []
            rows = await connection.execute(
                sa.select(events).where(mine, events.c.id <= last).order_by(events.c.id)
            )
            return [_event(row) for row in rows]

    async def unfinished_turns(self) -> Sequence[UnfinishedTurn]:
        """Turns that are recorded as running."""
        query = sa.select(conversations).where(conversations.c.running.is_(sa.true()))
        async with self._database.reading() as connection:
            return [
                UnfinishedTurn(row.id, row.tenant, row.turn)
                for row in await connection.execute(query)
            ]

    async def milestones(self, *, conversation_id: str, turn: int) -> Sequence[ConversationEvent]:
        """The turn's message, starts, recoveries and notices, in order, bounded."""
        query = (
            sa.select(events)
            .where(
                events.c.conversation_id == conversation_id,
                events.c.turn == turn,
                events.c.type.in_(MILESTONES),
            )
            .order_by(events.c.id)
            .limit(MILESTONES_LIMIT)
        )
        async with self._database.reading() as connection:
            return [_event(row) for row in await connection.execute(query)]

    async def session_id(self, workspace_id: str) -> str | None:
        """The agent's session in this workspace, if there was one."""
        async with self._database.reading() as connection:
            return await connection.scalar(
                sa.select(workspaces.c.session_id).where(workspaces.c.id == workspace_id)
            )

    async def set_session_id(
        self, workspace_id: str, session_id: str | None, *, generation: int | None = None
    ) -> None:
        """Record the agent's session, or that there is none; not for an older generation."""
        change = sa.update(workspaces).where(workspaces.c.id == workspace_id)
        if generation is not None:
            change = change.where(workspaces.c.generation <= generation)
        async with self._database.writing() as connection:
            await connection.execute(change.values(session_id=session_id))

    async def check(self) -> None:
        """Raise `StoreError` if the store cannot be used now."""
        await self._database.check()


async def _owned(
    connection: AsyncConnection, tenant: str, conversation_id: str, *, lock: bool = False
) -> Conversation:
    query = sa.select(conversations).where(
        conversations.c.id == conversation_id, conversations.c.tenant == tenant
    )
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NoSuchConversationError("there is no such conversation")
    return _conversation(row)


async def _locked(connection: AsyncConnection, conversation_id: str) -> Conversation:
    query = sa.select(conversations).where(conversations.c.id == conversation_id).with_for_update()
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NoSuchConversationError("there is no such conversation")
    return _conversation(row)


async def _append(
    connection: AsyncConnection,
    conversation: Conversation,
    *,
    turn: int,
    data: Sequence[EventData],
    now: datetime,
) -> Sequence[ConversationEvent]:
    added = [
        ConversationEvent.of(
            number=conversation.last_event + offset,
            time=now,
            conversation_id=conversation.id,
            turn=turn,
            data=item,
        )
        for offset, item in enumerate(data, start=1)
    ]
    if not added:
        return added
    await connection.execute(sa.insert(events), [event_row(event) for event in added])
    await connection.execute(
        sa.update(conversations)
        .where(conversations.c.id == conversation.id)
        .values(
            turn=turn,
            running=not any(event.type in TERMINAL_TYPES for event in added),
            last_event=added[-1].id,
            agent_seq=conversation.agent_seq,
        )
    )
    return added


def _last_that_fits(sizes: Sequence[tuple[int, int]]) -> int | None:
    last, total_bytes = None, 0
    for number, size_bytes in sizes:
        total_bytes += size_bytes
        if last is not None and total_bytes > READ_LIMIT_BYTES:
            break
        last = number
    return last


def _row(conversation: Conversation) -> dict[str, Any]:
    return {
        "id": conversation.id,
        "tenant": conversation.tenant,
        "kind": conversation.kind.value,
        "workspace_id": conversation.workspace_id,
        "policy": conversation.policy,
        "options": conversation.options.model_dump_json(),
        "runtime": conversation.runtime,
        "created_at": conversation.created_at,
        "turn": conversation.turn,
        "running": conversation.running,
        "last_event": conversation.last_event,
        "agent_seq": conversation.agent_seq,
    }


def _conversation(row: sa.Row[Any]) -> Conversation:
    return Conversation(
        id=row.id,
        tenant=row.tenant,
        kind=ConversationKind(row.kind),
        workspace_id=row.workspace_id,
        policy=row.policy,
        options=AgentOptions.model_validate_json(row.options),
        runtime=row.runtime,
        created_at=row.created_at,
        turn=row.turn,
        running=row.running,
        last_event=row.last_event,
        agent_seq=row.agent_seq,
    )


def event_row(event: ConversationEvent) -> dict[str, Any]:
    """Return an event as its row."""
    # ASCII escapes keep U+0000 and lone surrogates storable in every engine.
    data = json.dumps(event.data, separators=(",", ":"))
    return {
        "conversation_id": event.conversation_id,
        "id": event.id,
        "turn": event.turn,
        "type": event.type,
        "time": event.time,
        "size_bytes": len(data),
        "data": data,
    }


def _event(row: sa.Row[Any]) -> ConversationEvent:
    return ConversationEvent(
        id=row.id,
        type=row.type,
        time=row.time,
        conversation_id=row.conversation_id,
        turn=row.turn,
        data=json.loads(row.data),
    )
