"""Recovery points outside of turns: saved soon after a workspace was touched, never in the way.

Each touched workspace is saved once it was quiet for a moment, and at the latest after a while. Its
container is held until then: what is not saved is in it alone. While a turn runs nothing is saved,
for the turn saves at its end.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Final, Self

import anyio
import structlog
from anyio.abc import TaskGroup

from hakoiri.host.containers.live import TURN
from hakoiri.host.containers.model import Claim
from hakoiri.host.conversations.live_tree import live_tree
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.ports import (
    Containers,
    NoSuchWorkspaceError,
    StoreError,
    WorkspaceFiles,
    WorkspaceStore,
)
from hakoiri.host.files.points import PointReason
from hakoiri.host.files.ports import FilesError, StaleGenerationError

QUIET_S: Final = 2.0
WAIT_MAX_S: Final = 30.0
RETRY_MAX_S: Final = 60.0
SAVE_TIMEOUT_S: Final = 600.0
SHUTDOWN_TIMEOUT_S: Final = 5.0
"""With what turns get and containers take to end, within the half minute of a shutdown."""

logger = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Due:
    """A workspace that has to be saved; `attempted` is set, and made anew, by each attempt.

    `touches` counts what may have changed it, `saved` those that a recovery point holds.
    """

    workspace: Workspace
    claim: Claim
    number: int
    first_s: float
    last_s: float
    touches: int = 1
    saved: int = 0
    wanted_now: anyio.Event = field(default_factory=anyio.Event)
    attempted: anyio.Event = field(default_factory=anyio.Event)
    failure: Exception | None = None
    is_postponed: bool = False

    @property
    def holder(self) -> str:
        """Holds the container, whose files are not saved yet; one that was forgotten is another."""
        return f"save {self.number} {self.claim.container_id}"


class WorkspaceSaver:
    """Use as `async with`: leaving saves what is due."""

    def __init__(
        self,
        *,
        store: WorkspaceStore,
        containers: Containers,
        files: WorkspaceFiles,
        clock: Callable[[], float],
        quiet_s: float = QUIET_S,
        retry_s: float = QUIET_S,
    ) -> None:
        """`clock` gives monotonic seconds."""
        self._store = store
        self._containers = containers
        self._files = files
        self._clock = clock
        self._quiet_s = quiet_s
        self._retry_s = retry_s
        self._due: dict[str, _Due] = {}
        self._numbers = count(1)
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._group = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Save all that is due, within `SHUTDOWN_TIMEOUT_S`."""
        group, self._group = self._group, None
        if group is None:
            return
        with anyio.move_on_after(SHUTDOWN_TIMEOUT_S, shield=True):
            async with anyio.create_task_group() as flushing:
                for workspace_id in list(self._due):
                    flushing.start_soon(self.try_flush, workspace_id)
        group.cancel_scope.cancel()
        await group.__aexit__(kind, error, trace)

    async def touch(self, workspace: Workspace, claim: Claim) -> None:
        """Note that files may have changed in the container, which the caller still holds."""
        now_s = self._clock()
        due = self._due.get(workspace.id)
        if due is not None and due.claim.container_id == claim.container_id:
            due.last_s = now_s
            due.touches += 1
            return
        due = _Due(workspace, claim, next(self._numbers), first_s=now_s, last_s=now_s)
        joined = await self._containers.join(workspace.id, holder=due.holder)
        if joined is not None and joined.container_id != claim.container_id:
            # it was replaced meanwhile: what was written has gone with it, or was brought over
            await self._containers.release(workspace.id, holder=due.holder)
            return
        if self._group is None or joined is None:
            return
        self._due[workspace.id] = due
        self._group.start_soon(self._see_to, due, name=f"save {workspace.id}")

    async def flush(self, workspace_id: str) -> bool:
        """Save now if something is due; False if a turn runs, whose end will.

        Raises what the saving raised.
        """
        due = self._due.get(workspace_id)
        if due is None:
            return True
        target = due.touches
        while due.saved < target and self._is_current(due):
            attempted = due.attempted
            due.wanted_now.set()
            await attempted.wait()
            if due.failure is not None:
                raise due.failure
            if due.is_postponed:
                return False
        return True

    async def try_flush(self, workspace_id: str) -> None:
        """Save now if something is due and can be saved; who reads then sees what was written."""
        try:
            await self.flush(workspace_id)
        except (FilesError, StoreError) as error:
            await logger.awarning("files not saved", workspace=workspace_id, reason=str(error))

    def forget(self, workspace_id: str) -> None:
        """Save no more: the workspace is to be given up as it is."""
        self._due.pop(workspace_id, None)

    async def _see_to(self, due: _Due) -> None:
        retry_s = self._retry_s
        while self._is_current(due):
            await self._until_quiet(due, retry_s)
            if not self._is_current(due):
                break
            due.wanted_now = anyio.Event()
            touches = due.touches
            due.failure, due.is_postponed = None, False
            try:
                due.is_postponed = not await self._save(due)
            except Exception as error:  # noqa: BLE001 - one workspace's must not end the others'
                due.failure = error
                retry_s = min(2 * retry_s, RETRY_MAX_S)
                is_known = isinstance(error, (FilesError, StoreError))
                await logger.awarning(
                    "files not saved",
                    workspace=due.workspace.id,
                    reason=str(error),
                    exc_info=None if is_known else error,
                )
            else:
                due.saved = due.saved if due.is_postponed else touches
            if due.saved == due.touches:
                break
            due.first_s = due.last_s = self._clock()
            self._tell(due)
        if self._is_current(due):
            del self._due[due.workspace.id]
        is_saved = True if due.saved == due.touches else None
        await self._containers.release(due.workspace.id, holder=due.holder, is_saved=is_saved)
        self._tell(due)

    async def _until_quiet(self, due: _Due, retry_s: float) -> None:
        pause_s = self._quiet_s if due.failure is None else retry_s
        while not due.wanted_now.is_set():
            until_s = min(due.last_s + pause_s, due.first_s + max(WAIT_MAX_S, pause_s))
            remaining_s = until_s - self._clock()
            if remaining_s <= 0:
                return
            with anyio.move_on_after(remaining_s):
                await due.wanted_now.wait()

    async def _save(self, due: _Due) -> bool:
        """Commit a recovery point, unless there is nothing to save; False while a turn runs."""
        workspace = due.workspace
        holders = self._containers.holders(workspace.id)
        if holders is None:
            return True
        if TURN in holders:
            return False
        try:
            mark = await self._store.save_mark(workspace.id)
            with anyio.fail_after(SAVE_TIMEOUT_S):
                await self._files.save(
                    tenant=workspace.tenant,
                    workspace_id=workspace.id,
                    generation=due.claim.generation,
                    event_number=mark.event_number,
                    tree=live_tree(due.claim.directories),
                    session_id=mark.session_id,
                    reason=PointReason.CHANGED,
                )
        except (NoSuchWorkspaceError, StaleGenerationError):
            return True
        except TimeoutError as error:
            raise FilesError(f"saving took longer than {SAVE_TIMEOUT_S:g} s") from error
        return True

    def _is_current(self, due: _Due) -> bool:
        return self._due.get(due.workspace.id) is due

    def _tell(self, due: _Due) -> None:
        attempted, due.attempted = due.attempted, anyio.Event()
        attempted.set()
