"""The two places where a workspace is found: by its own id, and as a conversation's.

What can be done with it is the same in both, below `/v1/workspaces/{id}` and below
`/v1/conversations/{id}/workspace`.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from hakoiri.host.api.authentication import Tenant
from hakoiri.host.api.conversation_ids import ConversationId
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.ports import NoSuchWorkspaceError
from hakoiri.host.conversations.workspace_service import WorkspaceService

FORM: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

Find = Callable[..., Awaitable[Workspace]]
"""A dependency of handlers, which reads tenant and id from the request."""


@dataclass(frozen=True, slots=True)
class Place:
    """One of the two: its path, its name in operation ids, and what finds the workspace."""

    path: str
    name: str
    find: Find

    @property
    def is_conversations(self) -> bool:
        """Whether it is a conversation's workspace that is found here, as the conversation's."""
        return self.name == "conversation"

    def operation(self, what: str) -> str:
        """Return the id of an operation, which must be another one in each place."""
        return f"{what}_of_{self.name}"


def places(workspaces: WorkspaceService) -> list[Place]:
    """Return both places."""

    async def by_id(tenant: Tenant, workspace_id: str) -> Workspace:
        if FORM.fullmatch(workspace_id) is None:
            raise NoSuchWorkspaceError("there is no such workspace")
        return await workspaces.find(tenant=tenant, workspace_id=workspace_id)

    async def of_conversation(tenant: Tenant, conversation_id: ConversationId) -> Workspace:
        return await workspaces.find_of(tenant=tenant, conversation_id=conversation_id)

    return [
        Place("/v1/workspaces/{workspace_id}", "workspace", by_id),
        Place("/v1/conversations/{conversation_id}/workspace", "conversation", of_conversation),
    ]
