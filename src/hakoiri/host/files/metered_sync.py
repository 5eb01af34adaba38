"""File sync that is seen from outside: counted, timed and told to the audit log."""

from collections.abc import Callable
from typing import Any, Final

from hakoiri.host.files.ports import QuotaError, StaleGenerationError
from hakoiri.host.files.restore import RestoreReport
from hakoiri.host.files.save_report import SaveReport
from hakoiri.host.files.sync import FileSync
from hakoiri.host.telemetry.file_audit import FileAudit
from hakoiri.host.telemetry.sync_metrics import SyncMetrics
from hakoiri.tracing import names
from hakoiri.tracing.spans import span

_REPLACED: Final = (StaleGenerationError,)
"""A container that was replaced saves no more: nothing was lost, and no file has failed."""


class MeteredSync(FileSync):
    """A `FileSync` whose saves and restores are seen."""

    def __init__(
        self,
        *,
        metrics: SyncMetrics,
        audit: FileAudit,
        saved: Callable[[str, float], None],
        clock_s: Callable[[], float],
        **given: Any,
    ) -> None:
        """`saved` is told the workspace and when the save began, once one is committed.

        `clock_s` gives monotonic seconds; the rest is what `FileSync` is given.
        """
        super().__init__(**given)
        self._metrics = metrics
        self._audit = audit
        self._saved = saved
        self._clock_s = clock_s

    async def save(self, *args: Any, **asked: Any) -> SaveReport:
        """Save as `FileSync` does."""
        began_s = self._clock_s()
        tenant, workspace = asked["tenant"], asked["workspace_id"]
        try:
            with (
                self._metrics.metered("save", clock=self._clock_s, no_fault=_REPLACED) as moved,
                span("save") as told,
            ):
                report = await super().save(*args, **asked)
                moved.files, moved.size_bytes = report.uploaded, report.uploaded_bytes
                told.set(names.SAVE_FILES, report.uploaded)
                told.set(names.SAVE_BYTES, report.uploaded_bytes)
        except _REPLACED:
            raise
        except Exception as error:
            self._audit.save_failed(tenant=tenant, workspace=workspace, error=error)
            raise
        self._saved(workspace, began_s)
        self._audit.saved(
            tenant=tenant,
            workspace=workspace,
            recovery_point=report.recovery_point,
            details={
                "uploaded": report.uploaded,
                "uploaded_bytes": report.uploaded_bytes,
                "deleted": report.deleted,
                "kept": report.kept,
                "left_out": len(report.left_out),
            },
        )
        return report

    async def restore(self, *args: Any, **asked: Any) -> RestoreReport | None:
        """Restore as `FileSync` does; that there is nothing to restore is not counted."""
        tenant, workspace = asked["tenant"], asked["workspace_id"]
        try:
            with (
                self._metrics.metered("restore", clock=self._clock_s) as moved,
                span("restore") as told,
            ):
                report = await super().restore(*args, **asked)
                if report is None:
                    moved.is_needless = True
                    told.set(names.IS_NEEDLESS, value=True)
                    return None
                moved.files, moved.size_bytes = report.files, report.file_bytes
                told.set(names.SAVE_FILES, report.files)
                told.set(names.SAVE_BYTES, report.file_bytes)
        except Exception as error:
            self._audit.restore_failed(tenant=tenant, workspace=workspace, error=error)
            if isinstance(error, QuotaError):
                self._audit.quota_hit(tenant=tenant, workspace=workspace)
            raise
        self._audit.restored(
            tenant=tenant,
            workspace=workspace,
            recovery_point=report.recovery_point,
            details={"files": report.files, "bytes": report.file_bytes},
        )
        return report
