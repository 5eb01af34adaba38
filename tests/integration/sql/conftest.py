"""The stores under test: on a real SQLite file, and in memory under the same contract."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hakoiri.host.adapters.sql.conversation_store import SqlConversationStore
from hakoiri.host.adapters.sql.database import Database, open_database
from hakoiri.host.adapters.sql.key_store import SqlKeyStore
from hakoiri.host.adapters.sql.policy_store import SqlPolicyStore
from hakoiri.host.adapters.sql.workspace_store import SqlWorkspaceStore
from hakoiri.host.conversations.model import Conversation, ConversationKind
from hakoiri.host.conversations.ports import (
    ConversationStore,
    KeyStore,
    PolicyStore,
    WorkspaceStore,
)
from hakoiri.host.conversations.testing import (
    MemoryConversations,
    MemoryKeys,
    MemoryPolicies,
    MemoryWorkspaces,
)
from hakoiri.wire.agent import AgentOptions

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(f"sqlite:///{tmp_path}/hakoiri.db")
    yield opened
    await opened.close()


Stores = tuple[ConversationStore, PolicyStore, KeyStore, WorkspaceStore]


@pytest.fixture(params=["sqlite", "memory"])
def stores(request: pytest.FixtureRequest, database: Database) -> Stores:
    if request.param == "memory":
        conversations = MemoryConversations()
        return (
            conversations,
            MemoryPolicies(conversations),
            MemoryKeys(),
            MemoryWorkspaces(conversations),
        )
    return (
        SqlConversationStore(database),
        SqlPolicyStore(database),
        SqlKeyStore(database),
        SqlWorkspaceStore(database),
    )


@pytest.fixture
def conversations(stores: Stores) -> ConversationStore:
    return stores[0]


@pytest.fixture
def policies(stores: Stores) -> PolicyStore:
    return stores[1]


@pytest.fixture
def keys(stores: Stores) -> KeyStore:
    return stores[2]


@pytest.fixture
def workspaces(stores: Stores) -> WorkspaceStore:
    return stores[3]


def conversation(
    name: str,
    *,
    tenant: str = "default",
    kind: ConversationKind = ConversationKind.AGENT,
    created_at: datetime = NOW,
    policy: str = "default",
) -> Conversation:
    return Conversation(
        id=f"c-{name}",
        tenant=tenant,
        kind=kind,
        workspace_id=f"w-{name}" if kind is ConversationKind.AGENT else None,
        policy=policy,
        options=AgentOptions(model="m", max_turns=3),
        created_at=created_at,
        turn=0,
        running=False,
        last_event=0,
    )
