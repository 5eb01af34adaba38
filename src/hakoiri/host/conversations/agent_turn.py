"""One turn of an agent: claim a container, let the agent work, save the files, tell the end.

A turn ends in exactly one `result` or `error`, which is its last event. Before it is logged the
files are saved and the container is let go, so that whoever reads the end may begin the next turn.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import anyio
import structlog

from hakoiri.host.containers.model import Claim, ContainerDirectories
from hakoiri.host.containers.ports import ContainersError
from hakoiri.host.conversations import failures
from hakoiri.host.conversations.failures import Ending
from hakoiri.host.conversations.live_sync import NOT_SAVED, LiveSync
from hakoiri.host.conversations.live_tree import live_tree
from hakoiri.host.conversations.model import Conversation, StopReason, TurnLimits
from hakoiri.host.conversations.patient_call import PatientCall
from hakoiri.host.conversations.ports import (
    Containers,
    ConversationStore,
    SaveReport,
    StoreError,
    WorkspaceFiles,
)
from hakoiri.host.conversations.runtime_choice import choose_runtime
from hakoiri.host.conversations.sync_schedule import SyncSchedule
from hakoiri.host.conversations.turn_log import TurnLog
from hakoiri.host.conversations.turn_stream import TurnStream
from hakoiri.host.files.ports import FilesError
from hakoiri.host.files.quota import nearly_full
from hakoiri.wire.agent import RunTurn
from hakoiri.wire.events import Error, EventData, FileSynced, Notice, TurnStarted
from hakoiri.wire.messages import Runtime
from hakoiri.wire.policy import Policy

LEFT_OUT_LIMIT: Final = 100
"""Paths named in one `file_synced` event."""

logger = structlog.get_logger()


class AgentTurn:
    """Runs one turn; `run` raises nothing but cancellation."""

    def __init__(
        self,
        *,
        conversation: Conversation,
        workspace_id: str,
        text: str,
        log: TurnLog,
        store: ConversationStore,
        current_policy: Callable[[], Awaitable[Policy]],
        containers: Containers,
        files: WorkspaceFiles,
        limits: TurnLimits,
        runtimes: Sequence[Runtime],
    ) -> None:
        self._conversation = conversation
        self._workspace_id = workspace_id
        self._text = text
        self._log = log
        self._store = store
        self._current_policy = current_policy
        self._containers = containers
        self._files = files
        self._limits = limits
        self._runtimes = runtimes
        self._turn_id = f"{conversation.id}-{log.turn}"
        self._claim: Claim | None = None
        self._restore_failure: FilesError | None = None
        self._is_unsaved = False
        self._session_id: str | None = None
        self._stopped: StopReason | None = None
        self._work_scope = anyio.CancelScope()
        self._work_done = anyio.Event()
        self._starting = PatientCall()
        self._live_sync: LiveSync | None = None

    async def run(self) -> Ending:
        """Work, save, let the container go. Return how the turn ends; the caller logs it."""
        ending = None
        with self._work_scope:
            ending = await self._work()
        self._work_done.set()
        if self._stopped is not None:
            is_sound = ending is not None and ending.is_container_sound
            if ending is None or self._stopped is StopReason.SERVER_STOPPED:
                ending = Ending(failures.stopped(self._stopped), is_container_sound=is_sound)
        if ending is None:  # cancelled from outside
            ending = Ending(failures.stopped(StopReason.SERVER_STOPPED), is_container_sound=False)
        if self._claim is not None:
            await self._save(self._claim)
            await self._tell_if_nearly_full(self._claim)
        await self._let_go(ending)
        return ending

    async def stop(self, reason: StopReason) -> None:
        """Ask the agent to end the turn; after the grace, end it without the agent."""
        if self._stopped is None or reason is StopReason.SERVER_STOPPED:
            self._stopped = reason
        if self._claim is not None:
            with anyio.move_on_after(self._limits.interrupt_grace_s), suppress(ContainersError):
                await self._claim.agent.interrupt(self._turn_id)
                await self._work_done.wait()
        self._work_scope.cancel()
        self._starting.end()

    async def _work(self) -> Ending:
        try:
            claim = await self._take_container()
        except Exception as error:  # noqa: BLE001 - every failure has to end the turn
            if self._stopped is not None:
                return Ending(failures.stopped(self._stopped), is_container_sound=False)
            return Ending(
                self._explain(self._restore_failure or error, is_working=False),
                is_container_sound=False,
            )
        try:
            return await self._converse(claim)
        except Exception as error:  # noqa: BLE001 - the same
            why = await self._why_lost(claim) if failures.is_loss(error) else ""
            return Ending(
                self._explain(error, is_working=True, why_lost=why), is_container_sound=False
            )

    async def _take_container(self) -> Claim:
        policy = await self._current_policy()
        runtime = choose_runtime(self._conversation.runtime, policy=policy, allowed=self._runtimes)
        restores = await self._files.has_recovery_point(self._workspace_id)
        await anyio.lowlevel.checkpoint_if_cancelled()  # a shielded call would not notice
        claim = await self._starting.run(
            self._containers.claim(
                workspace_id=self._workspace_id,
                tenant=self._conversation.tenant,
                policy=policy,
                prepare=self._prepare,
                runtime=runtime,
                restores=restores,
            )
        )
        self._claim = claim
        # The policy may have been replaced while the container started, when nobody could rebind.
        newest = await self._current_policy()
        if newest != policy:
            await self._containers.rebind(
                workspace_id=self._workspace_id, tenant=self._conversation.tenant, policy=newest
            )
        if claim.start == "live":
            self._session_id = await self._store.session_id(self._workspace_id)
        await self._log.append(
            TurnStarted(
                container=claim.container_id, generation=claim.generation, start=claim.start
            )
        )
        return claim

    async def _prepare(self, directories: ContainerDirectories) -> None:
        try:
            restored = await self._files.restore(
                tenant=self._conversation.tenant,
                workspace_id=self._workspace_id,
                tree=live_tree(directories),
            )
        except FilesError as error:
            self._restore_failure = error
            raise
        # The agent's memory is in the files: only a session that came back with them goes on.
        self._session_id = restored.session_id if restored else None

    async def _converse(self, claim: Claim) -> Ending:
        stream = TurnStream(
            agent=claim.agent,
            request=RunTurn(
                turn_id=self._turn_id,
                text=self._text,
                session_id=self._session_id,
                options=self._conversation.options,
            ),
            record=self._record,
            remember_session=self._remember_session,
            limits=self._limits,
        )
        self._live_sync = LiveSync(
            schedule=SyncSchedule(
                quiet_s=self._limits.sync_quiet_s, longest_wait_s=self._limits.sync_longest_wait_s
            ),
            save=partial(self._commit, claim),
            tell=self._log.append,
        )
        with anyio.move_on_after(self._limits.timeout_s):
            return Ending(await self._live_sync.beside(stream.run), is_container_sound=True)
        return Ending(failures.timed_out(self._limits.timeout_s), is_container_sound=False)

    async def _record(self, data: Sequence[EventData]) -> None:
        last_event = await self._log.append(*data)
        if self._live_sync is not None:
            self._live_sync.saw(data, last_event=last_event)

    async def _remember_session(self, session_id: str) -> None:
        await self._store.set_session_id(self._workspace_id, session_id)
        self._session_id = session_id

    async def _save(self, claim: Claim) -> None:
        """Commit a recovery point and log it; a failure is logged as a notice and ends nothing."""
        synced: FileSynced | None = None
        reason = ""
        try:
            synced = await self._commit(claim, self._log.last_event)
        except Exception as error:  # noqa: BLE001 - unsaved files must not hide how the turn ended
            reason = str(error) if isinstance(error, FilesError) else "the server's log says why"
            await logger.aexception("files not saved", workspace=self._workspace_id)
        notice = Notice(
            code=NOT_SAVED,
            text=failures.clip(f"The turn's files are not saved yet: {reason}"),
        )
        self._is_unsaved = synced is None
        with suppress(StoreError):
            await self._log.append(synced or notice)

    async def _commit(self, claim: Claim, event_number: int) -> FileSynced:
        """Commit a recovery point; `FilesError`, also if that takes too long."""
        with anyio.move_on_after(self._limits.save_timeout_s):
            return _synced(
                await self._files.save(
                    tenant=self._conversation.tenant,
                    workspace_id=self._workspace_id,
                    generation=claim.generation,
                    event_number=event_number,
                    tree=live_tree(claim.directories),
                    session_id=self._session_id,
                )
            )
        raise FilesError(f"saving took longer than {self._limits.save_timeout_s:g} s")

    async def _tell_if_nearly_full(self, claim: Claim) -> None:
        """Log a notice if the next turn may find no room; nothing else depends on it."""
        with suppress(FilesError, StoreError):
            found = nearly_full(await self._files.usage(live_tree(claim.directories)))
            if found:
                text = " ".join([*found, "Remove what is not needed."])
                await self._log.append(Notice(code="workspace-nearly-full", text=text))

    async def _let_go(self, ending: Ending) -> None:
        """Keep a sound container for the next turn; remove one whose state is not known.

        A sound container whose files could not be saved is not let go: it holds the only copy, so
        it counts as in use until a later turn has saved them.
        """
        if ending.is_container_sound and self._is_unsaved:
            return
        try:
            if ending.is_container_sound:
                letting_go = self._containers.release(self._workspace_id)
            else:
                letting_go = self._containers.retire(
                    self._workspace_id, reason=getattr(ending.data, "code", "turn-failed")
                )
            await PatientCall().run(letting_go, timeout_s=self._limits.retire_timeout_s)
        except Exception:  # noqa: BLE001 - what is left over is the garbage collector's
            await logger.aexception("container not let go", workspace=self._workspace_id)

    async def _why_lost(self, claim: Claim) -> str:
        with anyio.move_on_after(self._limits.retire_timeout_s), suppress(ContainersError):
            return await self._containers.why_lost(claim.container_id)
        return ""

    def _explain(self, error: Exception, *, is_working: bool, why_lost: str = "") -> Error:
        if not failures.is_known(error):
            logger.error("turn failed", turn=self._turn_id, exc_info=error)
        if is_working:
            return failures.error_while_working(error, why_lost=why_lost)
        return failures.error_while_starting(error)


def _synced(report: SaveReport) -> FileSynced:
    return FileSynced(
        recovery_point=report.recovery_point,
        uploaded=report.uploaded,
        uploaded_bytes=report.uploaded_bytes,
        deleted=report.deleted,
        kept=report.kept,
        left_out=[failures.clip(item) for item in report.left_out[:LEFT_OUT_LIMIT]],
    )
