"""Whose conversations are that have a turn: events do not say it, the audit log must."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hakoiri.host.conversations.model import Conversation
from hakoiri.wire.events import ConversationEvent
from hakoiri.wire.terminal_types import TERMINAL_TYPES

LOOKED_AT_LIMIT: Final = 1_024
"""A turn's first event follows the look at its conversation; only other looks come between."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A conversation's tenant, and its workspace if it has one."""

    tenant: str
    workspace: str | None


class KnownOwners:
    """Remembers conversations from the first event of a turn to its last, and the newest looks."""

    def __init__(self) -> None:
        self._looked_at: dict[str, Owner] = {}
        self._in_turn: dict[str, Owner] = {}

    def remember(self, conversation: Conversation) -> None:
        """Take note of a conversation as it was read; beyond the bound the oldest is forgotten."""
        self._looked_at.pop(conversation.id, None)
        self._looked_at[conversation.id] = Owner(conversation.tenant, conversation.workspace_id)
        if len(self._looked_at) > LOOKED_AT_LIMIT:
            del self._looked_at[next(iter(self._looked_at))]

    def recorded(self, events: Sequence[ConversationEvent]) -> None:
        """Keep whose turns go on, and let go of those that ended; after `of` was asked."""
        for event in events:
            if event.type in TERMINAL_TYPES:
                self._in_turn.pop(event.conversation_id, None)
            elif owner := self.of(event.conversation_id):
                self._in_turn[event.conversation_id] = owner

    def of(self, conversation_id: str) -> Owner | None:
        """Return whose it is; None if it has no turn here and was not looked at lately."""
        return self._in_turn.get(conversation_id) or self._looked_at.get(conversation_id)
