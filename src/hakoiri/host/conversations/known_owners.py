"""Whose conversations are that were looked at lately: events do not say it, the audit log must."""

from dataclasses import dataclass
from typing import Final

from hakoiri.host.conversations.model import Conversation

REMEMBERED_LIMIT: Final = 20_000


@dataclass(frozen=True, slots=True)
class Owner:
    """A conversation's tenant, and its workspace if it has one."""

    tenant: str
    workspace: str | None


class KnownOwners:
    """Remembers so many; whoever begins a turn has just looked at its conversation."""

    def __init__(self) -> None:
        self._owners: dict[str, Owner] = {}

    def remember(self, conversation: Conversation) -> None:
        """Take note of a conversation as it was read; beyond the bound the oldest is forgotten."""
        self._owners.pop(conversation.id, None)
        self._owners[conversation.id] = Owner(conversation.tenant, conversation.workspace_id)
        if len(self._owners) > REMEMBERED_LIMIT:
            del self._owners[next(iter(self._owners))]

    def of(self, conversation_id: str) -> Owner | None:
        """Return whose it is; None if it was not looked at lately."""
        return self._owners.get(conversation_id)
