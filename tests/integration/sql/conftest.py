"""The stores under test: on a real SQLite file, on a real PostgreSQL, and in memory, all alike."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.postgresql_server import PostgresqlServer

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


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database's."""
    return _empty(request, tmp_path)


@pytest.fixture(params=["sqlite", "postgresql", "memory"])
def url_unless_memory(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    return None if request.param == "memory" else _empty(request, tmp_path)


def _empty(request: pytest.FixtureRequest, directory: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{directory}/hakoiri.db"
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.new_database()


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = await open_database(url)
    yield opened
    await opened.close()


Stores = tuple[ConversationStore, PolicyStore, KeyStore, WorkspaceStore]


@pytest.fixture
async def stores(url_unless_memory: str | None) -> AsyncIterator[Stores]:
    if url_unless_memory is None:
        conversations = MemoryConversations()
        yield (
            conversations,
            MemoryPolicies(conversations),
            MemoryKeys(),
            MemoryWorkspaces(conversations),
        )
        return
    opened = await open_database(url_unless_memory)
    yield (
        SqlConversationStore(opened),
        SqlPolicyStore(opened),
        SqlKeyStore(opened),
        SqlWorkspaceStore(opened),
    )
    await opened.close()


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
