"""Whose a live workspace is, and its files saved outside of any turn."""

from typing import Final

import anyio
import structlog

from hakoiri.host.containers.model import ContainerDirectories
from hakoiri.host.containers.ports import Owner
from hakoiri.host.conversations.live_tree import live_tree
from hakoiri.host.conversations.policy_service import PolicyService
from hakoiri.host.conversations.ports import (
    NoSuchPolicyError,
    NoSuchWorkspaceError,
    StoreError,
    WorkspaceFiles,
    WorkspaceStore,
)
from hakoiri.host.files.points import PointReason
from hakoiri.host.files.ports import FilesError, StaleGenerationError

SAVE_TIMEOUT_S: Final = 120.0
"""What was stored by then need not be stored again by the next attempt."""

log = structlog.get_logger(__name__)


class WorkspaceOwners:
    """Looks owners up, of workspaces with a conversation and without."""

    def __init__(
        self, *, store: WorkspaceStore, policies: PolicyService, files: WorkspaceFiles
    ) -> None:
        self._store = store
        self._policies = policies
        self._files = files

    async def owner(self, workspace_id: str) -> Owner | None:
        """Return whose workspace it is; None if it is gone, or has no policy to be under.

        Raises `StoreError`.
        """
        workspace = await self._store.find_workspace(workspace_id)
        if workspace is None:
            return None
        try:
            policy = await self._policies.effective(tenant=workspace.tenant, name=workspace.policy)
        except NoSuchPolicyError:
            return None
        return Owner(workspace.tenant, policy)

    async def save(
        self, workspace_id: str, *, generation: int, directories: ContainerDirectories
    ) -> bool:
        """Commit a recovery point of a container's files; whether that was done, or needless."""
        try:
            workspace = await self._store.find_workspace(workspace_id)
            if workspace is None:
                return True
            mark = await self._store.save_mark(workspace_id)
            with anyio.fail_after(SAVE_TIMEOUT_S):
                await self._files.save(
                    tenant=workspace.tenant,
                    workspace_id=workspace_id,
                    generation=generation,
                    event_number=mark.event_number,
                    tree=live_tree(directories),
                    session_id=mark.session_id,
                    reason=PointReason.BEFORE_REMOVAL,
                )
        except NoSuchWorkspaceError:
            return True  # it was deleted just now
        except StaleGenerationError:
            return True  # a newer container has saved, which had all of this one's
        except (FilesError, StoreError, TimeoutError) as error:
            log.warning("workspace_not_saved", workspace=workspace_id, reason=str(error))
            return False
        return True
