"""Making, finding and watching conversations. Turns belong to `execute_service`."""

import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime

from hakoiri.host.conversations.event_feed import EventFeed
from hakoiri.host.conversations.model import Conversation, ConversationKind
from hakoiri.host.conversations.policy_service import PolicyService
from hakoiri.host.conversations.ports import (
    ConversationStore,
    InvalidOptionError,
    NoSuchPolicyError,
)
from hakoiri.host.conversations.runtime_choice import choose_runtime
from hakoiri.wire.agent import AgentOptions
from hakoiri.wire.events import ConversationEvent
from hakoiri.wire.messages import Runtime


class ConversationService:
    """Conversations of tenants. Another tenant's id raises `NoSuchConversationError`."""

    def __init__(
        self,
        *,
        store: ConversationStore,
        feed: EventFeed,
        policies: PolicyService,
        clock: Callable[[], datetime],
        runtimes: Sequence[Runtime],
    ) -> None:
        """`runtimes` are those containers may have, the usual one first."""
        self._store = store
        self._feed = feed
        self._policies = policies
        self._clock = clock
        self._runtimes = runtimes

    async def create(
        self,
        *,
        tenant: str,
        kind: ConversationKind,
        policy: str,
        options: AgentOptions,
        runtime: Runtime | None = None,
    ) -> Conversation:
        """Make a conversation, with a workspace if an agent works in it.

        Raises `InvalidOptionError`, `RuntimeNotAllowedError`, `StoreError`.
        """
        if kind is ConversationKind.CHAT:
            _refuse_agent_options(options, runtime)
        try:
            effective = await self._policies.effective(tenant=tenant, name=policy)
        except NoSuchPolicyError as error:
            raise InvalidOptionError(f"policy: {error}") from error
        if runtime is not None:
            choose_runtime(runtime, policy=effective, allowed=self._runtimes)
        name = secrets.token_hex(16)
        conversation = Conversation(
            id=f"c-{name}",
            tenant=tenant,
            kind=kind,
            workspace_id=f"w-{name}" if kind is ConversationKind.AGENT else None,
            policy=policy,
            options=options,
            created_at=self._clock(),
            turn=0,
            running=False,
            last_event=0,
            runtime=runtime,
        )
        await self._store.create(conversation)
        return conversation

    async def get(self, *, tenant: str, conversation_id: str) -> Conversation:
        """Return it; `NoSuchConversationError`."""
        return await self._store.get(tenant=tenant, conversation_id=conversation_id)

    async def list(self, *, tenant: str, limit: int, before: str | None) -> Sequence[Conversation]:
        """Newest first, from before the given id on."""
        return await self._store.list(tenant=tenant, limit=limit, before=before)

    async def pages(
        self, *, tenant: str, conversation_id: str, after: int, idle_timeout_s: float
    ) -> AsyncGenerator[Sequence[ConversationEvent], None]:
        """Return the live pages of its log, as `EventFeed.pages`; `NoSuchConversationError` now."""
        await self._store.get(tenant=tenant, conversation_id=conversation_id)
        return self._feed.pages(conversation_id, after=after, idle_timeout_s=idle_timeout_s)


def _refuse_agent_options(options: AgentOptions, runtime: Runtime | None) -> None:
    if runtime is not None:
        raise InvalidOptionError("runtime: a chat has no container; leave it out or use an agent")
    for field in ("allowed_tools", "permission_mode", "max_turns"):
        if field in options.model_fields_set:
            raise InvalidOptionError(f"{field}: a chat has no tools; leave it out or use an agent")
