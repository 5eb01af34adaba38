"""File sync that counts what it does."""

from collections.abc import Callable
from typing import Any

from hakoiri.host.files.restore import RestoreReport
from hakoiri.host.files.sync import FileSync, SaveReport
from hakoiri.host.telemetry.sync_metrics import SyncMetrics


class MeteredSync(FileSync):
    """A `FileSync` whose saves and restores are counted and timed."""

    def __init__(
        self,
        *,
        metrics: SyncMetrics,
        saved: Callable[[str, float], None],
        clock_s: Callable[[], float],
        **given: Any,
    ) -> None:
        """`saved` is told the workspace and when the save began, once one is committed.

        `clock_s` gives monotonic seconds; the rest is what `FileSync` is given.
        """
        super().__init__(**given)
        self._metrics = metrics
        self._saved = saved
        self._clock_s = clock_s

    async def save(self, *args: Any, **asked: Any) -> SaveReport:
        """Save as `FileSync` does."""
        began_s = self._clock_s()
        with self._metrics.metered("save", clock=self._clock_s) as moved:
            report = await super().save(*args, **asked)
            moved.files, moved.size_bytes = report.uploaded, report.uploaded_bytes
        self._saved(asked["workspace_id"], began_s)
        return report

    async def restore(self, *args: Any, **asked: Any) -> RestoreReport | None:
        """Restore as `FileSync` does; that there is nothing to restore is not counted."""
        with self._metrics.metered("restore", clock=self._clock_s) as moved:
            report = await super().restore(*args, **asked)
            if report is None:
                moved.is_needless = True
            else:
                moved.files, moved.size_bytes = report.files, report.file_bytes
        return report
