"""Whose a live workspace is, and its files saved outside of any turn."""

from typing import Final

import anyio
import structlog

from hakoiri.host.containers.model import ContainerDirectories
from hakoiri.host.containers.ports import Owner
from hakoiri.host.conversations.live_tree import live_tree
from hakoiri.host.conversations.policy_service import PolicyService
from hakoiri.host.conversations.ports import (
    ConversationStore,
    NoSuchPolicyError,
    StoreError,
    WorkspaceFiles,
)
from hakoiri.host.files.ports import FilesError, StaleGenerationError

SAVE_TIMEOUT_S: Final = 120.0
"""What was stored by then need not be stored again by the next attempt."""

log = structlog.get_logger(__name__)


class WorkspaceOwners:
    """Looks owners up in the conversations."""

    def __init__(
        self, *, store: ConversationStore, policies: PolicyService, files: WorkspaceFiles
    ) -> None:
        self._store = store
        self._policies = policies
        self._files = files

    async def owner(self, workspace_id: str) -> Owner | None:
        """Return whose workspace it is; None if it is gone, or has no policy to be under.

        Raises `StoreError`.
        """
        conversation = await self._store.in_workspace(workspace_id)
        if conversation is None:
            return None
        try:
            policy = await self._policies.of(conversation)
        except NoSuchPolicyError:
            return None
        return Owner(conversation.tenant, policy)

    async def save(
        self, workspace_id: str, *, generation: int, directories: ContainerDirectories
    ) -> bool:
        """Commit a recovery point of a container's files; whether that was done, or needless."""
        try:
            conversation = await self._store.in_workspace(workspace_id)
            if conversation is None:
                return True
            with anyio.fail_after(SAVE_TIMEOUT_S):
                await self._files.save(
                    tenant=conversation.tenant,
                    workspace_id=workspace_id,
                    generation=generation,
                    event_number=conversation.last_event,
                    tree=live_tree(directories),
                    session_id=await self._store.session_id(workspace_id),
                )
        except StaleGenerationError:
            return True  # a newer container has saved, which had all of this one's
        except (FilesError, StoreError, TimeoutError) as error:
            log.warning("workspace_not_saved", workspace=workspace_id, reason=str(error))
            return False
        return True
