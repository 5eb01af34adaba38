"""Conversations, turns, keys: plain data."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from hakoiri.wire.agent import AgentOptions
from hakoiri.wire.messages import Runtime

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
    runtime: Runtime | None = None
    """The container runtime that it asks for, if any."""

    agent_seq: int = 0
    """Up to which of its own numbers the agent's events of the last turn are in the log."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Durable files, of a conversation or of their own. `policy` names what they may reach.

    `generation` counts the containers so far; `recovery_point` is the newest, if there is one.
    """

    id: str
    tenant: str
    policy: str
    conversation_id: str | None
    created_at: datetime
    generation: int = 0
    recovery_point: str | None = None


@dataclass(frozen=True, slots=True)
class SaveMark:
    """What a recovery point made outside of a turn says of the conversation's state.

    While a turn runs it is that of the moment, and the agent's memory may lag behind.
    """

    session_id: str | None
    event_number: int
    is_turn_running: bool = False


class StopReason(StrEnum):
    """Why a turn is asked to end early; the value is the code of its `error` event."""

    INTERRUPTED = "interrupted"
    """The user asked for it."""

    SERVER_STOPPED = "server-stopped"
    """The server is going down."""


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """Bounds of one turn, in seconds.

    `silence_timeout_s` bounds the wait for the agent's next event, and after `ask_after_s` without
    one the agent has to say that it is there. `interrupt_grace_s` is the time an interrupted agent
    has to end its turn, `shutdown_timeout_s` the time all turns together have when the server
    stops, `retry_pause_s` the pause between attempts to reconnect or record, and
    `recovery_timeout_s` the wait for an engine that is away while a lost container is replaced.
    While the turn runs its files are saved once no tool has ended for `sync_quiet_s`, and at the
    latest `sync_longest_wait_s` after one may have changed them.
    """

    timeout_s: float
    silence_timeout_s: float
    ask_after_s: float = 30
    save_timeout_s: float = 600
    interrupt_grace_s: float = 8
    retire_timeout_s: float = 30
    shutdown_timeout_s: float = 20
    retry_pause_s: float = 0.5
    recovery_timeout_s: float = 120
    sync_quiet_s: float = 10
    sync_longest_wait_s: float = 30


MILESTONES: Final = ("user_message", "turn_started", "container_recovered", "notice")
"""Types of the events that tell how far a turn had come when its server went away."""

MILESTONES_LIMIT: Final = 1000


@dataclass(frozen=True, slots=True)
class UnfinishedTurn:
    """A turn whose server went away before it ended."""

    conversation_id: str
    tenant: str
    turn: int


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it may be shown: never the secret, which is stored only as a hash."""

    id: str
    tenant: str
    name: str
    created_at: datetime
    revoked_at: datetime | None
