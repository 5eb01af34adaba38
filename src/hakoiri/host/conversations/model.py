"""Conversations, turns, keys: plain data."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hakoiri.wire.agent import AgentOptions

DEFAULT_TENANT = "default"
DEFAULT_POLICY = "default"


class ConversationKind(StrEnum):
    """How the conversation's answers are made."""

    AGENT = "agent"
    """By the agent in a container, with a workspace."""

    CHAT = "chat"
    """By one model call a turn; no container, no workspace, no tools."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A durable dialogue. `turn` counts the turns so far; `running` while the last one goes on."""

    id: str
    tenant: str
    kind: ConversationKind
    workspace_id: str | None
    policy: str
    options: AgentOptions
    created_at: datetime
    turn: int
    running: bool
    last_event: int


@dataclass(frozen=True, slots=True)
class UnfinishedTurn:
    """A turn whose server went away before it ended."""

    conversation_id: str
    turn: int


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it may be shown: never the secret, which is stored only as a hash."""

    id: str
    tenant: str
    name: str
    created_at: datetime
    revoked_at: datetime | None
