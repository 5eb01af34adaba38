"""What the audit log is told of files that were saved and brought back: numbers, never names."""

from collections.abc import Mapping
from typing import Final

from hakoiri.audit.event import AuditEvent, Detail, EventKind
from hakoiri.audit.writer import AuditLog

REMEMBERED_LIMIT: Final = 1_024
"""Workspaces, the latest told, whose newest word is remembered; another may be told twice."""

_FAILING: Final = "failing"


class FileAudit:
    """Tells what changed: a save that committed nothing new, or fails again, is told once."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self._newest: dict[str, str] = {}

    def saved(
        self, *, tenant: str, workspace: str, recovery_point: str, details: Mapping[str, Detail]
    ) -> None:
        """Tell of a recovery point, unless it is the one that was told last."""
        if self._is_news(workspace, recovery_point):
            self._tell(EventKind.FILES_SYNCED, tenant, workspace, recovery_point, details)

    def save_failed(self, *, tenant: str, workspace: str, error: Exception) -> None:
        """Tell that files could not be saved; again only after a save that succeeded."""
        if self._is_news(workspace, _FAILING):
            details = {"reason": type(error).__name__}
            self._tell(EventKind.FILES_SYNCED, tenant, workspace, None, details, succeeded=False)

    def restored(
        self, *, tenant: str, workspace: str, recovery_point: str, details: Mapping[str, Detail]
    ) -> None:
        """Tell that a container got the files of a recovery point."""
        self._tell(EventKind.FILES_RESTORED, tenant, workspace, recovery_point, details)

    def restore_failed(self, *, tenant: str, workspace: str, error: Exception) -> None:
        """Tell that files could not be brought back."""
        details = {"reason": type(error).__name__}
        self._tell(EventKind.FILES_RESTORED, tenant, workspace, None, details, succeeded=False)

    def quota_hit(self, *, tenant: str, workspace: str) -> None:
        """Tell that a recovery point did not fit its disk."""
        details = {"kind": "disk"}
        self._tell(EventKind.QUOTA_HIT, tenant, workspace, None, details, succeeded=False)

    def _is_news(self, workspace: str, word: str) -> bool:
        if self._newest.pop(workspace, None) == word:
            self._newest[workspace] = word
            return False
        self._newest[workspace] = word
        if len(self._newest) > REMEMBERED_LIMIT:
            del self._newest[next(iter(self._newest))]
        return True

    def _tell(
        self,
        kind: EventKind,
        tenant: str,
        workspace: str,
        recovery_point: str | None,
        details: Mapping[str, Detail],
        *,
        succeeded: bool = True,
    ) -> None:
        named = {} if recovery_point is None else {"recovery_point": recovery_point}
        self._audit.tell(
            AuditEvent(
                kind=kind,
                succeeded=succeeded,
                tenant=tenant,
                workspace=workspace,
                details=named | dict(details),
            )
        )
