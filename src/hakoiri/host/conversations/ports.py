"""What the conversations room needs from outside: durable stores, and a model for chats."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol

from hakoiri.host.conversations.model import ApiKey, Conversation, UnfinishedTurn
from hakoiri.wire.events import ConversationEvent, EventData
from hakoiri.wire.policy import Policy


class ConversationsError(Exception):
    """A conversation cannot do what was asked."""


class NoSuchConversationError(ConversationsError):
    """There is no such conversation, or it is another tenant's: the caller cannot tell which."""


class TurnRunningError(ConversationsError):
    """A turn is running; wait for its end or interrupt it."""


class NoTurnRunningError(ConversationsError):
    """No turn is running."""


class NoSuchPolicyError(ConversationsError):
    """There is no policy of that name; `hakoiri policy set` makes it."""


class StoreError(ConversationsError):
    """The database does not answer."""


class ConversationStore(Protocol):
    """Conversations and their event logs. Numbers are gapless; nothing acknowledged is lost."""

    async def create(self, conversation: Conversation) -> None:
        """Store a new conversation, and its workspace if it has one."""

    async def get(self, *, tenant: str, conversation_id: str) -> Conversation:
        """Return it; `NoSuchConversationError` if it is not there or another tenant's."""

    async def list(self, *, tenant: str, limit: int, before: str | None) -> Sequence[Conversation]:
        """Newest first, from before the given id on."""

    async def delete(self, *, tenant: str, conversation_id: str) -> None:
        """Forget it with its events; `TurnRunningError` while a turn runs."""

    async def begin_turn(
        self, *, conversation_id: str, text: str, now: datetime
    ) -> ConversationEvent:
        """Record the user's message and that a turn runs, in one transaction.

        Raises `TurnRunningError` if one runs already.
        """

    async def append(
        self, *, conversation_id: str, turn: int, events: Sequence[EventData], now: datetime
    ) -> Sequence[ConversationEvent]:
        """Record events in order, in one transaction; a terminal event also ends the turn.

        Raises `NoTurnRunningError` for a turn that has ended: nothing follows a last event.
        """

    async def read(
        self, *, conversation_id: str, after: int, limit: int
    ) -> Sequence[ConversationEvent]:
        """Events numbered above `after`, in order; fewer than `limit` if they are large.

        Empty only if there are none.
        """

    async def unfinished_turns(self) -> Sequence[UnfinishedTurn]:
        """Turns that are recorded as running."""

    async def session_id(self, workspace_id: str) -> str | None:
        """The agent's session in this workspace, if there was one."""

    async def set_session_id(self, workspace_id: str, session_id: str) -> None:
        """Record the agent's session."""

    async def check(self) -> None:
        """Raise `StoreError` if the store cannot be used now."""


class PolicyStore(Protocol):
    """Named policies of a tenant."""

    async def get_policy(self, *, tenant: str, name: str) -> Policy:
        """Return it; `NoSuchPolicyError`."""

    async def set_policy(self, *, tenant: str, name: str, policy: Policy) -> None:
        """Create or replace it."""

    async def delete_policy(self, *, tenant: str, name: str) -> None:
        """Forget it; nothing happens if there is none."""

    async def list_policies(self, *, tenant: str) -> dict[str, Policy]:
        """All of a tenant's policies by name."""

    async def workspaces_under(self, *, tenant: str, name: str) -> Sequence[str]:
        """Ids of the workspaces whose conversation uses the policy."""


class KeyStore(Protocol):
    """API keys; secrets are stored as hashes only."""

    async def add_key(self, key: ApiKey, *, secret_hash: bytes) -> None:
        """Store a key."""

    async def keys(self, *, tenant: str | None) -> Sequence[ApiKey]:
        """List keys, of one tenant or of all."""

    async def find_key(self, key_id: str) -> tuple[ApiKey, bytes] | None:
        """Return a key and its secret's hash."""

    async def revoke_key(self, key_id: str, *, now: datetime) -> bool:
        """Revoke; False if there is no such key."""


class ChatModel(Protocol):
    """One model call without tools, through the proxy."""

    def answer(
        self, *, conversation: Conversation, history: Sequence[tuple[str, str]]
    ) -> AsyncIterator[EventData]:
        """Stream `text_delta`s, then `result` or `error`. History is (role, text), user first."""
