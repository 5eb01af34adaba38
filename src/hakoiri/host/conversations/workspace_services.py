"""All that serves workspaces beside turns, put together in one place."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from hakoiri.audit.writer import AuditLog, NoAuditLog
from hakoiri.host.conversations.command_service import CommandService
from hakoiri.host.conversations.file_edits import EditableFiles, FileEdits
from hakoiri.host.conversations.policy_service import PolicyService
from hakoiri.host.conversations.ports import (
    Containers,
    ConversationStore,
    WorkspaceFiles,
    WorkspaceStore,
)
from hakoiri.host.conversations.workspace_claim import WorkspaceClaim
from hakoiri.host.conversations.workspace_saver import WorkspaceSaver
from hakoiri.host.conversations.workspace_service import WorkspaceService
from hakoiri.wire.messages import Runtime


@dataclass(frozen=True, slots=True)
class WorkspaceServices:
    """What the API speaks to about workspaces. `saver` is used as `async with`."""

    workspaces: WorkspaceService
    commands: CommandService
    saver: WorkspaceSaver
    edits: FileEdits


def make_workspace_services(
    *,
    store: WorkspaceStore,
    conversations: ConversationStore,
    policies: PolicyService,
    containers: Containers,
    files: WorkspaceFiles,
    editable: EditableFiles,
    clock: Callable[[], datetime],
    monotonic: Callable[[], float],
    runtimes: Sequence[Runtime],
    audit: AuditLog | None = None,
) -> WorkspaceServices:
    """Build them over the ports."""
    audit = audit or NoAuditLog()
    saver = WorkspaceSaver(store=store, containers=containers, files=files, clock=monotonic)
    claims = WorkspaceClaim(
        store=conversations,
        policies=policies,
        containers=containers,
        files=files,
        runtimes=runtimes,
    )
    return WorkspaceServices(
        workspaces=WorkspaceService(
            store=store,
            conversations=conversations,
            policies=policies,
            containers=containers,
            saver=saver,
            clock=clock,
            audit=audit,
        ),
        commands=CommandService(containers=containers, claims=claims, saver=saver, audit=audit),
        saver=saver,
        edits=FileEdits(
            store=store, containers=containers, files=editable, saver=saver, audit=audit
        ),
    )
