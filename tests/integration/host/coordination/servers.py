"""Servers with scripted containers on one real database, which run turns and hear the others."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import anyio
from tests.integration.host.coordination.arenas import Arena
from tests.unit.host.conversations.scripted import (
    ANSWER,
    LIMITS,
    NOW,
    ScriptedAgent,
    ScriptedContainers,
    ScriptedFiles,
    ScriptedModel,
    Step,
)

from hakoiri.host.adapters.sql.conversation_store import SqlConversationStore
from hakoiri.host.adapters.sql.database import Database, open_database
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.pool_service import PoolService
from hakoiri.host.conversations.event_feed import EventFeed
from hakoiri.host.conversations.execute_service import ExecuteService
from hakoiri.host.conversations.model import Conversation, ConversationKind
from hakoiri.host.conversations.policy_service import PolicyService
from hakoiri.host.conversations.testing import MemoryConversations, MemoryPolicies
from hakoiri.host.conversations.workspace_owners import WorkspaceOwners
from hakoiri.host.coordination.ports import Coordination
from hakoiri.host.following import Following
from hakoiri.host.services import told_to_others
from hakoiri.wire.agent import AgentOptions
from hakoiri.wire.events import ConversationEvent, Result
from hakoiri.wire.policy import DENY_ALL


@dataclass
class Server:
    """One of several."""

    coordination: Coordination
    store: SqlConversationStore
    feed: EventFeed
    service: ExecuteService
    agent: ScriptedAgent
    elsewhere: set[str] = field(default_factory=set)
    """Workspaces that are live on another server."""

    async def begin(self, conversation: Conversation, text: str = "hello") -> ConversationEvent:
        return await self.service.start_turn(
            tenant=conversation.tenant, conversation_id=conversation.id, text=text
        )

    async def rest_of_turn(self, first: ConversationEvent) -> list[ConversationEvent]:
        async with asyncio.timeout(60):
            return [
                event
                async for event in self.feed.follow(
                    first.conversation_id, after=first.id - 1, until_turn=first.turn
                )
            ]

    async def log(self, conversation: Conversation) -> Sequence[ConversationEvent]:
        """The whole log, whose numbers have no gap."""
        found = await self.store.read(conversation_id=conversation.id, after=0, limit=999)
        assert [event.id for event in found] == list(range(1, len(found) + 1))
        return found

    async def conversation(self, name: str = "1") -> Conversation:
        made = Conversation(
            id=f"c-{name}",
            tenant="default",
            kind=ConversationKind.AGENT,
            workspace_id=f"w-{name}",
            policy="default",
            options=AgentOptions(),
            created_at=NOW,
            turn=0,
            running=False,
            last_event=0,
        )
        await self.store.create(made)
        return made


class NothingLive:
    """No containers and no pool."""

    def members(self) -> list[None]:
        return []

    async def follow(self) -> None:
        return


@asynccontextmanager
async def database(path: Path) -> AsyncIterator[Database]:
    opened = await open_database(f"sqlite:///{path}")
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def server(
    arena: Arena,
    path: Path,
    name: str,
    *scripts: Sequence[Step],
    take_up: bool = False,
    leaves: bool = False,
    generation: int = 1,
) -> AsyncIterator[Server]:
    """Run a server on the database at the path, as a process of its own would.

    Its containers have the generation; that of another server's would be another.
    """
    async with database(path) as opened, arena.server(name) as coordination:
        agent = ScriptedAgent(*(scripts or (ANSWER,)))
        containers = ScriptedContainers(agent=agent, generation=generation)
        made = _make(opened, coordination, containers, leaves=leaves)
        following = Following(
            fanout=coordination.fanout,
            feed=made.feed,
            execute=made.service,
            orchestrator=cast("Orchestrator", NothingLive()),
            owners=cast("WorkspaceOwners", None),
            pool=cast("PoolService", NothingLive()),
        )
        async with anyio.create_task_group() as group:
            group.start_soon(following.run)
            await anyio.wait_all_tasks_blocked()
            async with made.service:
                if take_up:
                    await made.service.take_up_unfinished()
                yield made
            group.cancel_scope.cancel()


def _make(
    opened: Database, coordination: Coordination, containers: ScriptedContainers, *, leaves: bool
) -> Server:
    store = SqlConversationStore(opened)
    feed = EventFeed(store=store, recorded=told_to_others(lambda _: None, coordination))
    elsewhere: set[str] = set()

    async def is_elsewhere(workspace_id: str) -> bool:
        return workspace_id in elsewhere

    service = ExecuteService(
        store=store,
        feed=feed,
        policies=PolicyService(
            store=MemoryPolicies(MemoryConversations()),
            containers=containers,
            default_policy=DENY_ALL,
        ),
        containers=containers,
        files=ScriptedFiles(),
        chat_model=ScriptedModel(Result(text="chat")),
        limits=LIMITS,
        clock=lambda: NOW,
        runtimes=("runc",),
        leaves_turns=lambda: leaves,
        coordination=coordination,
        is_elsewhere=is_elsewhere,
    )
    return Server(coordination, store, feed, service, containers.agent, elsewhere)
