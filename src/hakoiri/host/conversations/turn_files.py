"""A workspace's files during one turn: brought back, saved, and what of them was lost."""

from contextlib import suppress
from typing import Final

import anyio
import structlog

from hakoiri.host.containers.model import Claim, ContainerDirectories
from hakoiri.host.conversations import failures
from hakoiri.host.conversations.live_sync import NOT_SAVED
from hakoiri.host.conversations.live_tree import live_tree
from hakoiri.host.conversations.ports import (
    NoTurnRunningError,
    SaveReport,
    StoreError,
    WorkspaceFiles,
)
from hakoiri.host.conversations.turn_log import TurnLog
from hakoiri.host.files.points import PointReason
from hakoiri.host.files.ports import FilesError
from hakoiri.host.files.quota import nearly_full
from hakoiri.wire.events import FileSynced, Notice

PATHS_LIMIT: Final = 100
"""Paths named in one event."""

PAUSE_MAX_S: Final = 8.0

logger = structlog.get_logger()


class TurnFiles:
    """Restores and saves for one turn, and keeps what both told.

    `session_id` is the agent's session whose memory is in the files. `restored_seq` is the number
    of the event up to which what was brought back goes, 0 if there was nothing. `is_unsaved`: the
    last save failed. `restore_failure`: why nothing could be brought back.
    """

    def __init__(
        self,
        *,
        files: WorkspaceFiles,
        tenant: str,
        workspace_id: str,
        log: TurnLog,
        save_timeout_s: float,
    ) -> None:
        self._files = files
        self._tenant = tenant
        self._workspace_id = workspace_id
        self._log = log
        self._save_timeout_s = save_timeout_s
        self._left_out: list[str] = []
        self.session_id: str | None = None
        self.restored_seq = 0
        self.is_unsaved = False
        self.restore_failure: FilesError | None = None

    async def are_to_be_restored(self) -> bool:
        """Whether `restore` has anything to bring back; `FilesError`."""
        return await self._files.has_recovery_point(self._workspace_id)

    async def restore(self, directories: ContainerDirectories) -> None:
        """Fill the empty directories from the newest recovery point; `FilesError`."""
        try:
            restored = await self._files.restore(
                tenant=self._tenant, workspace_id=self._workspace_id, tree=live_tree(directories)
            )
        except FilesError as error:
            self.restore_failure = error
            raise
        # The agent's memory is in the files: only a session that came back with them goes on.
        self.session_id = restored.session_id if restored else None
        self.restored_seq = restored.event_number if restored else 0

    async def save(self, claim: Claim, reason: PointReason = PointReason.TURN_END) -> None:
        """Commit a recovery point and log it; a failure is logged once, and ends nothing."""
        told: FileSynced | Notice
        try:
            told = await self.commit(claim, self._log.last_event, reason)
            self.is_unsaved = False
            self._left_out = told.left_out
        except Exception as error:  # noqa: BLE001 - unsaved files must not hide how the turn ended
            why = str(error) if isinstance(error, FilesError) else "the server's log says why"
            await logger.aexception("files not saved", workspace=self._workspace_id)
            self._left_out = []
            if self.is_unsaved:
                return  # told already
            self.is_unsaved = True
            text = failures.clip(f"The turn's files are not saved yet: {why}")
            told = Notice(code=NOT_SAVED, text=text)
        with suppress(StoreError, NoTurnRunningError):  # the turn may be another server's by now
            await self._log.append(told)

    async def save_patiently(
        self, claim: Claim, reason: PointReason, *, until_s: float, pause_s: float
    ) -> None:
        """As `save`, again as long as that fails, until a time of the clock."""
        await self.save(claim, reason)
        while self.is_unsaved and anyio.current_time() < until_s:
            await anyio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)
            await self.save(claim, reason)

    async def commit(
        self, claim: Claim, event_number: int, reason: PointReason = PointReason.RUNNING
    ) -> FileSynced:
        """Commit a recovery point; `FilesError`, also if that takes too long."""
        with anyio.move_on_after(self._save_timeout_s):
            report = await self._files.save(
                tenant=self._tenant,
                workspace_id=self._workspace_id,
                generation=claim.generation,
                event_number=event_number,
                tree=live_tree(claim.directories),
                session_id=self.session_id,
                reason=reason,
            )
            return _synced(report, [failures.clip(line) for line in report.left_out])
        raise FilesError(f"saving took longer than {self._save_timeout_s:g} s")

    async def tell_if_nearly_full(self, claim: Claim) -> None:
        """Log a notice if the next turn may find no room; nothing else depends on it."""
        with suppress(FilesError, StoreError, NoTurnRunningError):
            found = nearly_full(await self._files.usage(live_tree(claim.directories)))
            if found:
                text = " ".join([*found, "Remove what is not needed."])
                await self._log.append(Notice(code="workspace-nearly-full", text=text))

    async def lost_with(self, claim: Claim) -> list[str]:
        """Name what will be gone with the container: what the last save did not take, bounded."""
        lost = self._left_out
        if self.is_unsaved:
            try:
                with anyio.fail_after(self._save_timeout_s):
                    lost = await self._files.unsaved(
                        tenant=self._tenant,
                        workspace_id=self._workspace_id,
                        tree=live_tree(claim.directories),
                    )
            except Exception as error:  # noqa: BLE001 - the turn goes on without knowing
                lost = [f"all that changed since the last recovery point ({error})"]
        return [failures.clip(line) for line in lost[:PATHS_LIMIT]]


def _synced(report: SaveReport, left_out: list[str]) -> FileSynced:
    return FileSynced(
        recovery_point=report.recovery_point,
        uploaded=report.uploaded,
        uploaded_bytes=report.uploaded_bytes,
        deleted=report.deleted,
        kept=report.kept,
        left_out=left_out[:PATHS_LIMIT],
    )
