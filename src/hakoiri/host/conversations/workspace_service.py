"""Making, finding and giving up workspaces. Commands in them belong to `command_service`."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from hakoiri.audit.event import AuditEvent, EventKind
from hakoiri.audit.writer import AuditLog
from hakoiri.host.containers.live import TURN
from hakoiri.host.containers.ports import WorkspaceInUseError
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.policy_service import PolicyService
from hakoiri.host.conversations.ports import (
    Containers,
    ConversationStore,
    InvalidOptionError,
    NoSuchPolicyError,
    TurnRunningError,
    WorkspaceOwnedError,
    WorkspaceStore,
)
from hakoiri.host.conversations.workspace_saver import WorkspaceSaver

KILL: Final = "kill"
"""Holds a container while its files are saved for the last time."""


BEGUN_SINCE: Final = "a turn began meanwhile; interrupt it, then kill"


class FilesFate(StrEnum):
    """What becomes of a workspace's files when its container is killed."""

    SAVE = "save"
    """They are saved first; if that fails, nothing is killed."""

    LOSE = "lose"
    """What is not in a recovery point yet is lost; the workspace stays."""

    DELETE = "delete"
    """The workspace is forgotten with all of them."""


@dataclass(frozen=True, slots=True)
class WorkspaceSight:
    """A workspace and how it is now: `in_use` while a turn, command or save needs its container."""

    workspace: Workspace
    state: Literal["live", "stored"]
    in_use: bool


class WorkspaceService:
    """Workspaces of tenants. Another tenant's id raises `NoSuchWorkspaceError`."""

    def __init__(
        self,
        *,
        store: WorkspaceStore,
        conversations: ConversationStore,
        policies: PolicyService,
        containers: Containers,
        saver: WorkspaceSaver,
        clock: Callable[[], datetime],
        audit: AuditLog,
    ) -> None:
        self._store = store
        self._conversations = conversations
        self._policies = policies
        self._containers = containers
        self._saver = saver
        self._clock = clock
        self._audit = audit

    async def create(self, *, tenant: str, policy: str) -> WorkspaceSight:
        """Make one without a conversation. Raises `InvalidOptionError`, `StoreError`."""
        try:
            await self._policies.effective(tenant=tenant, name=policy)
        except NoSuchPolicyError as error:
            raise InvalidOptionError(f"policy: {error}") from error
        workspace = Workspace(
            id=f"w-{secrets.token_hex(16)}",
            tenant=tenant,
            policy=policy,
            conversation_id=None,
            created_at=self._clock(),
        )
        await self._store.create_workspace(workspace)
        return self._sight(workspace)

    async def find(self, *, tenant: str, workspace_id: str) -> Workspace:
        """Return it; `NoSuchWorkspaceError`."""
        return await self._store.workspace(tenant=tenant, workspace_id=workspace_id)

    async def find_of(self, *, tenant: str, conversation_id: str) -> Workspace:
        """Return a conversation's; `NoSuchConversationError`, `NoSuchWorkspaceError` for a chat."""
        return await self._store.workspace_of(tenant=tenant, conversation_id=conversation_id)

    def look_at(self, workspace: Workspace) -> WorkspaceSight:
        """Tell how a workspace is now."""
        return self._sight(workspace)

    async def list(
        self, *, tenant: str, limit: int, before: str | None
    ) -> Sequence[WorkspaceSight]:
        """Newest first, from before the given id on."""
        found = await self._store.list_workspaces(tenant=tenant, limit=limit, before=before)
        return [self._sight(workspace) for workspace in found]

    async def kill(self, workspace: Workspace, *, files: FilesFate) -> None:
        """Give up its container with all that runs in it; nothing happens if it has none.

        Raises `TurnRunningError`, `WorkspaceOwnedError` for the files of a conversation,
        `FilesError` if they cannot be saved, `ContainersError`, `StoreError`.
        """
        await self._check_no_turn(workspace)
        if files is FilesFate.DELETE and workspace.conversation_id is not None:
            raise WorkspaceOwnedError(
                f"the files go with their conversation; delete {workspace.conversation_id}"
            )
        if files is FilesFate.SAVE:
            await self._save(workspace)
        if files is FilesFate.DELETE:
            await self._store.delete_workspace(tenant=workspace.tenant, workspace_id=workspace.id)
        self._saver.forget(workspace.id)
        try:
            await self._containers.retire(
                workspace.id, reason="killed", unless_held_by=TURN, for_good=True
            )
        except WorkspaceInUseError as error:  # it began since, and what it writes is not saved
            raise TurnRunningError(BEGUN_SINCE) from error
        self._audit.tell(
            AuditEvent(
                kind=EventKind.WORKSPACE_KILLED,
                tenant=workspace.tenant,
                workspace=workspace.id,
                conversation=workspace.conversation_id,
                details={"files": files.value},
            )
        )

    async def _save(self, workspace: Workspace) -> None:
        """Save what is live, whether or not anything is known to have changed."""
        claim = await self._containers.join(workspace.id, holder=KILL)
        if claim is None:
            return
        try:
            await self._saver.touch(workspace, claim)
            if not await self._saver.flush(workspace.id):
                raise TurnRunningError(BEGUN_SINCE)
        finally:
            await self._containers.release(workspace.id, holder=KILL)

    async def _check_no_turn(self, workspace: Workspace) -> None:
        if workspace.conversation_id is None:
            return
        conversation = await self._conversations.get(
            tenant=workspace.tenant, conversation_id=workspace.conversation_id
        )
        if conversation.running:
            raise TurnRunningError("a turn is running; interrupt it, then kill")

    def _sight(self, workspace: Workspace) -> WorkspaceSight:
        holders = self._containers.holders(workspace.id)
        return WorkspaceSight(
            workspace, state="stored" if holders is None else "live", in_use=bool(holders)
        )
