"""Stores in memory, for tests and trials: the same contract as the SQL stores, nothing durable."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from hakoiri.host.conversations.model import (
    MILESTONES,
    MILESTONES_LIMIT,
    ApiKey,
    Conversation,
    SaveMark,
    UnfinishedTurn,
    Workspace,
)
from hakoiri.host.conversations.ports import (
    NoSuchConversationError,
    NoSuchPolicyError,
    NoSuchWorkspaceError,
    NoTurnRunningError,
    StoreError,
    TurnRunningError,
    TurnTakenOverError,
    WorkspaceOwnedError,
)
from hakoiri.wire.events import ConversationEvent, EventData, UserMessage
from hakoiri.wire.policy import Policy
from hakoiri.wire.terminal_types import TERMINAL_TYPES


class MemoryConversations:
    """`ConversationStore` in memory. Set `broken` and every call raises `StoreError`."""

    def __init__(self) -> None:
        self.broken = False
        self.reads = 0
        self._conversations: dict[str, Conversation] = {}
        self._events: dict[str, list[ConversationEvent]] = {}
        self._sessions: dict[str, str] = {}
        self.workspaces: dict[str, Workspace] = {}

    async def create(self, conversation: Conversation) -> None:
        """Store a new conversation."""
        await self.check()
        if conversation.id in self._conversations:
            raise StoreError(f"conversation {conversation.id} exists")
        self._conversations[conversation.id] = conversation
        self._events[conversation.id] = []
        if conversation.workspace_id is not None:
            self.workspaces[conversation.workspace_id] = Workspace(
                id=conversation.workspace_id,
                tenant=conversation.tenant,
                policy=conversation.policy,
                conversation_id=conversation.id,
                created_at=conversation.created_at,
            )

    async def get(self, *, tenant: str, conversation_id: str) -> Conversation:
        """Return it; `NoSuchConversationError` if it is not there or another tenant's."""
        await self.check()
        conversation = self._conversations.get(conversation_id)
        if conversation is None or conversation.tenant != tenant:
            raise NoSuchConversationError("there is no such conversation")
        return conversation

    async def list(self, *, tenant: str, limit: int, before: str | None) -> Sequence[Conversation]:
        """Newest first, from before the given id on."""
        mine = sorted(
            (item for item in self._conversations.values() if item.tenant == tenant),
            key=lambda item: (item.created_at, item.id),
            reverse=True,
        )
        if before is not None:
            last = await self.get(tenant=tenant, conversation_id=before)
            mine = mine[mine.index(last) + 1 :]
        await self.check()
        return mine[:limit]

    async def delete(self, *, tenant: str, conversation_id: str) -> None:
        """Forget it with its events; `TurnRunningError` while a turn runs."""
        conversation = await self.get(tenant=tenant, conversation_id=conversation_id)
        if conversation.running:
            raise TurnRunningError("a turn is running; interrupt it, then delete")
        del self._conversations[conversation_id]
        del self._events[conversation_id]
        self._sessions.pop(conversation.workspace_id or "", None)
        self.workspaces.pop(conversation.workspace_id or "", None)

    async def begin_turn(
        self, *, conversation_id: str, text: str, now: datetime
    ) -> ConversationEvent:
        """Record the user's message and that a turn runs."""
        conversation = await self._existing(conversation_id)
        if conversation.running:
            raise TurnRunningError(
                "a turn is running in this conversation; wait for its end or interrupt it"
            )
        begun = replace(conversation, turn=conversation.turn + 1, agent_seq=0)
        return self._append(begun, [UserMessage(text=text)], now)[0]

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
        """Record events in order; a terminal event also ends the turn."""
        conversation = await self._existing(conversation_id)
        if not conversation.running or conversation.turn != turn:
            raise NoTurnRunningError(f"turn {turn} is not running; its log is closed")
        if follows is not None and conversation.last_event != follows:
            raise TurnTakenOverError(f"turn {turn} is somebody else's now")
        if agent_seq is not None:
            conversation = replace(conversation, agent_seq=agent_seq)
        return self._append(conversation, events, now)

    async def read(
        self, *, conversation_id: str, after: int, limit: int
    ) -> Sequence[ConversationEvent]:
        """Events numbered above `after`, in order."""
        await self.check()
        self.reads += 1
        return self._events.get(conversation_id, [])[after : after + limit]

    async def unfinished_turns(self) -> Sequence[UnfinishedTurn]:
        """Turns that are recorded as running."""
        await self.check()
        return [
            UnfinishedTurn(item.id, item.tenant, item.turn)
            for item in self._conversations.values()
            if item.running
        ]

    async def milestones(self, *, conversation_id: str, turn: int) -> Sequence[ConversationEvent]:
        """The turn's message, starts, recoveries and notices, in order, bounded."""
        await self.check()
        found = self._events.get(conversation_id, [])
        mine = [event for event in found if event.turn == turn and event.type in MILESTONES]
        return mine[:MILESTONES_LIMIT]

    async def session_id(self, workspace_id: str) -> str | None:
        """The agent's session in this workspace, if there was one."""
        await self.check()
        return self._sessions.get(workspace_id)

    async def set_session_id(
        self, workspace_id: str, session_id: str | None, *, generation: int | None = None
    ) -> None:
        """Record the agent's session, or that there is none; not for an older generation."""
        await self.check()
        workspace = self.workspaces.get(workspace_id)
        if generation is not None and workspace is not None and workspace.generation > generation:
            return
        self._sessions.pop(workspace_id, None)
        if session_id is not None:
            self._sessions[workspace_id] = session_id

    async def check(self) -> None:
        """Raise `StoreError` if the store is `broken`."""
        if self.broken:
            raise StoreError("the database does not answer")

    def workspaces_under(self, *, tenant: str, name: str) -> Sequence[str]:
        """Ids of the workspaces that are under the policy."""
        return [
            item.id
            for item in self.workspaces.values()
            if item.tenant == tenant and item.policy == name
        ]

    async def _existing(self, conversation_id: str) -> Conversation:
        await self.check()
        try:
            return self._conversations[conversation_id]
        except KeyError as error:
            raise NoSuchConversationError("there is no such conversation") from error

    def _append(
        self, conversation: Conversation, data: Sequence[EventData], now: datetime
    ) -> Sequence[ConversationEvent]:
        added = [
            ConversationEvent.of(
                number=conversation.last_event + offset,
                time=now,
                conversation_id=conversation.id,
                turn=conversation.turn,
                data=item,
            )
            for offset, item in enumerate(data, start=1)
        ]
        self._events[conversation.id] += added
        self._conversations[conversation.id] = replace(
            conversation,
            running=not any(event.type in TERMINAL_TYPES for event in added),
            last_event=conversation.last_event + len(added),
        )
        return added


class MemoryWorkspaces:
    """`WorkspaceStore` in memory, beside the conversations."""

    def __init__(self, conversations: MemoryConversations) -> None:
        self._conversations = conversations

    async def create_workspace(self, workspace: Workspace) -> None:
        """Store a new one without a conversation."""
        await self._conversations.check()
        self._conversations.workspaces[workspace.id] = workspace

    async def workspace(self, *, tenant: str, workspace_id: str) -> Workspace:
        """Return it; `NoSuchWorkspaceError` if it is not there or another tenant's."""
        await self._conversations.check()
        found = self._conversations.workspaces.get(workspace_id)
        if found is None or found.tenant != tenant:
            raise NoSuchWorkspaceError("there is no such workspace")
        return found

    async def find_workspace(self, workspace_id: str) -> Workspace | None:
        """Return it, whosever it is; None if there is none."""
        await self._conversations.check()
        return self._conversations.workspaces.get(workspace_id)

    async def workspace_of(self, *, tenant: str, conversation_id: str) -> Workspace:
        """Return a conversation's; `NoSuchConversationError`, `NoSuchWorkspaceError` for a chat."""
        conversation = await self._conversations.get(tenant=tenant, conversation_id=conversation_id)
        if conversation.workspace_id is None:
            raise NoSuchWorkspaceError("a chat has no workspace")
        return await self.workspace(tenant=tenant, workspace_id=conversation.workspace_id)

    async def list_workspaces(
        self, *, tenant: str, limit: int, before: str | None
    ) -> Sequence[Workspace]:
        """Newest first, from before the given id on."""
        mine = sorted(
            (item for item in self._conversations.workspaces.values() if item.tenant == tenant),
            key=lambda item: (item.created_at, item.id),
            reverse=True,
        )
        if before is not None:
            last = await self.workspace(tenant=tenant, workspace_id=before)
            mine = mine[mine.index(last) + 1 :]
        return mine[:limit]

    async def delete_workspace(self, *, tenant: str, workspace_id: str) -> None:
        """Forget one without a conversation; `WorkspaceOwnedError` for another."""
        found = await self.workspace(tenant=tenant, workspace_id=workspace_id)
        if found.conversation_id is not None:
            raise WorkspaceOwnedError(
                f"the workspace goes with its conversation; delete {found.conversation_id}"
            )
        del self._conversations.workspaces[workspace_id]

    async def save_mark(self, workspace_id: str) -> SaveMark:
        """Return what a recovery point of now belongs to; `NoSuchWorkspaceError`."""
        found = self._conversations.workspaces.get(workspace_id)
        if found is None:
            raise NoSuchWorkspaceError("there is no such workspace")
        session_id = await self._conversations.session_id(workspace_id)
        if found.conversation_id is None:
            return SaveMark(session_id=session_id, event_number=0)
        conversation = await self._conversations.get(
            tenant=found.tenant, conversation_id=found.conversation_id
        )
        return SaveMark(
            session_id=session_id,
            event_number=conversation.last_event,
            is_turn_running=conversation.running,
        )


class MemoryPolicies:
    """`PolicyStore` in memory, beside the conversations that use the policies."""

    def __init__(self, conversations: MemoryConversations) -> None:
        self._conversations = conversations
        self._policies: dict[tuple[str, str], Policy] = {}

    async def get_policy(self, *, tenant: str, name: str) -> Policy:
        """Return it; `NoSuchPolicyError`."""
        try:
            return self._policies[tenant, name]
        except KeyError as error:
            raise NoSuchPolicyError(
                f"there is no policy {name!r}; `hakoiri policy set` makes it"
            ) from error

    async def set_policy(self, *, tenant: str, name: str, policy: Policy) -> None:
        """Create or replace it."""
        self._policies[tenant, name] = policy

    async def delete_policy(self, *, tenant: str, name: str) -> None:
        """Forget it; nothing happens if there is none."""
        self._policies.pop((tenant, name), None)

    async def list_policies(self, *, tenant: str) -> dict[str, Policy]:
        """All of a tenant's policies by name."""
        return {name: policy for (owner, name), policy in self._policies.items() if owner == tenant}

    async def workspaces_under(self, *, tenant: str, name: str) -> Sequence[str]:
        """Ids of the workspaces that are under the policy."""
        return self._conversations.workspaces_under(tenant=tenant, name=name)


class MemoryKeys:
    """`KeyStore` in memory."""

    def __init__(self) -> None:
        self._keys: dict[str, tuple[ApiKey, bytes]] = {}

    async def add_key(self, key: ApiKey, *, secret_hash: bytes) -> None:
        """Store a key."""
        self._keys[key.id] = key, secret_hash

    async def keys(self, *, tenant: str | None) -> Sequence[ApiKey]:
        """List keys, of one tenant or of all, oldest first."""
        return sorted(
            (key for key, _ in self._keys.values() if tenant in (None, key.tenant)),
            key=lambda key: (key.created_at, key.id),
        )

    async def find_key(self, key_id: str) -> tuple[ApiKey, bytes] | None:
        """Return a key and its secret's hash."""
        return self._keys.get(key_id)

    async def revoke_key(self, key_id: str, *, now: datetime) -> bool:
        """Revoke; False if there is no such key. The first revocation's time stays."""
        if key_id not in self._keys:
            return False
        key, secret_hash = self._keys[key_id]
        self._keys[key_id] = replace(key, revoked_at=key.revoked_at or now), secret_hash
        return True
