"""One turn of an agent: claim a container, let the agent work, save the files, tell the end.

A turn ends in exactly one `result` or `error`, which is its last event. Before it is logged the
files are saved and the container is let go, so that whoever reads the end may begin the next turn.

A turn whose container is lost goes on in another: what the lost one left on this host is saved and
brought back, and the agent is asked to go on where its memory ends (`is_taken_up`).
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

import anyio
import structlog

from hakoiri.host.containers.model import Claim
from hakoiri.host.containers.ports import ContainersError, FilesUnsavedError
from hakoiri.host.conversations import failures
from hakoiri.host.conversations.failures import Ending
from hakoiri.host.conversations.live_sync import LiveSync
from hakoiri.host.conversations.model import Conversation, StopReason, TurnLimits
from hakoiri.host.conversations.patient_call import PatientCall
from hakoiri.host.conversations.ports import (
    Containers,
    ConversationStore,
    WorkspaceFiles,
)
from hakoiri.host.conversations.queue_told import QueueTold
from hakoiri.host.conversations.recovery import (
    RECOVERY_LIMIT,
    Loss,
    LossKind,
    given_up,
    loss_in_ending,
    loss_in_failure,
    loss_with_server,
    may_pass,
)
from hakoiri.host.conversations.runtime_choice import choose_runtime
from hakoiri.host.conversations.sync_schedule import SyncSchedule
from hakoiri.host.conversations.turn_files import TurnFiles
from hakoiri.host.conversations.turn_history import TurnHistory
from hakoiri.host.conversations.turn_log import TurnLog
from hakoiri.host.conversations.turn_span import tell_ending, turn_span
from hakoiri.host.conversations.turn_stream import TurnStream
from hakoiri.host.files.points import PointReason
from hakoiri.tracing.spans import spanned
from hakoiri.wire.agent import RunTurn
from hakoiri.wire.events import ContainerRecovered, Error, EventData, TurnStarted
from hakoiri.wire.messages import Runtime
from hakoiri.wire.policy import Policy

Answer = TypeVar("Answer")

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
        recovered: Callable[[LossKind], None] = lambda _: None,
        history: TurnHistory | None = None,
    ) -> None:
        """`recovered` is told of each loss that the turn got over.

        With a `history`, the turn was begun by an earlier server, and is taken up.
        """
        self._conversation = conversation
        self._workspace_id = workspace_id
        self._text = text
        self._log = log
        self._store = store
        self._current_policy = current_policy
        self._containers = containers
        self._files = TurnFiles(
            files=files,
            tenant=conversation.tenant,
            workspace_id=workspace_id,
            log=log,
            save_timeout_s=limits.save_timeout_s,
        )
        self._limits = limits
        self._runtimes = runtimes
        self._recovered = recovered
        self._history = history
        self._turn_id = f"{conversation.id}-{log.turn}"
        self._claim: Claim | None = None
        self._lost: Claim | None = None
        self._deadline_s = math.inf
        # an agent that never heard of the turn is then not the first that was to have it
        self._is_taken_up = history is not None and history.losses > 0
        self._resumes = history is not None
        self._is_kept = False
        self._resume_after: int | None = None
        self._stopped: StopReason | None = None
        self._work_scope = anyio.CancelScope()
        self._work_done = anyio.Event()
        self._starting = PatientCall()
        self._live_sync: LiveSync | None = None

    async def run(self) -> Ending:
        """Work, save, let the container go. Return how the turn ends; the caller logs it."""
        with turn_span(self._conversation, self._log.turn) as span:
            return tell_ending(span, await self._run())

    async def _run(self) -> Ending:
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
            await self._files.save(self._claim)
            await self._files.tell_if_nearly_full(self._claim)
        await self._let_go(ending)
        return ending

    def leave(self) -> None:
        """Begin no container any more: the server goes, and leaves the turn to the next."""
        self._stopped = self._stopped or StopReason.SERVER_STOPPED
        self._starting.end()

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
            claim = await self._begin()
        except Exception as error:  # noqa: BLE001 - every failure has to end the turn
            return self._not_begun(error)
        losses = self._history.losses if self._history else 0
        while True:
            ending, loss = await self._attempt(claim)
            if loss is None or self._stopped is not None:
                return ending
            losses += 1
            if losses > RECOVERY_LIMIT:
                return Ending(given_up(loss), is_container_sound=False)
            try:
                claim = await self._recover(claim, loss)
            except Exception as error:  # noqa: BLE001 - the same
                return self._not_begun(error)

    async def _attempt(self, claim: Claim) -> tuple[Ending, Loss | None]:
        """Let the agent work; return how that ended, and the loss if it was one."""
        try:
            ending = await self._converse(claim)
        except Exception as error:  # noqa: BLE001 - every failure has to end the turn
            why = await self._why_lost(claim) if failures.is_loss(error) else ""
            told = self._explain(error, is_working=True, why_lost=why)
            return Ending(told, is_container_sound=False), loss_in_failure(error, why=why)
        return ending, loss_in_ending(ending.data)

    async def _begin(self) -> Claim:
        claim = await self._take_container()
        if claim.start == "live":
            self._files.session_id = await self._store.session_id(self._workspace_id)
        self._deadline_s = anyio.current_time() + self._limits.timeout_s
        ran_in = self._history.generation if self._history else None
        if ran_in is None:
            started = TurnStarted(
                container=claim.container_id, generation=claim.generation, start=claim.start
            )
            await self._log.append(started)
        elif self._history and ran_in == claim.generation:
            self._resume_after = self._history.agent_seq
        elif self._history:
            loss, lost_paths = loss_with_server(self._history)
            await self._tell_recovered(claim, loss, lost_paths=lost_paths)
        return claim

    async def _take_container(self) -> Claim:
        policy = await self._current_policy()
        runtime = choose_runtime(self._conversation.runtime, policy=policy, allowed=self._runtimes)
        restores = await self._files.are_to_be_restored()
        await anyio.lowlevel.checkpoint_if_cancelled()  # a shielded call would not notice
        waiting = QueueTold(append=self._log.append)
        claim = await waiting.beside(
            lambda: self._starting.run(
                self._containers.claim(
                    workspace_id=self._workspace_id,
                    tenant=self._conversation.tenant,
                    policy=policy,
                    prepare=self._files.restore,
                    runtime=runtime,
                    restores=restores,
                    told=waiting.now_at,
                    resumes=self._resumes,
                )
            )
        )
        self._claim = claim
        # The policy may have been replaced while the container started, when nobody could rebind.
        newest = await self._current_policy()
        if newest != policy:
            await self._containers.rebind(
                workspace_id=self._workspace_id, tenant=self._conversation.tenant, policy=newest
            )
        return claim

    @spanned("recover")
    async def _recover(self, lost: Claim, loss: Loss) -> Claim:
        """Save what the lost container left, and give the workspace another with it.

        The old one has ended before its files are read, so that what is saved is whole; the new
        one's generation keeps whatever may still come from the old one out.
        """
        logger.warning("container lost in a turn", turn=self._turn_id, reason=loss.reason)
        workspace, patience_s = self._workspace_id, self._limits.recovery_timeout_s
        give_up_s = anyio.current_time() + patience_s
        meant = lost.container_id
        await self._patiently(
            lambda: self._containers.halt(workspace, container_id=meant), give_up_s
        )
        await self._files.save_patiently(
            lost,
            PointReason.CONTAINER_LOST,
            until_s=give_up_s,
            pause_s=self._limits.retry_pause_s,
        )
        lost_paths = await self._files.lost_with(lost)
        self._claim, self._lost, self._resumes = None, lost, True
        await self._patiently(
            lambda: self._starting.run(
                self._containers.retire(
                    workspace, reason=loss.kind, container_id=meant, is_replaced=True
                )
            ),
            give_up_s,
        )
        claim = await self._patiently(self._take_container, give_up_s)
        await self._tell_recovered(claim, loss, lost_paths=lost_paths)
        return claim

    async def _tell_recovered(self, claim: Claim, loss: Loss, *, lost_paths: list[str]) -> None:
        told = ContainerRecovered(
            generation=claim.generation,
            reason=loss.reason,
            restored_seq=self._files.restored_seq,
            lost_paths=lost_paths,
        )
        await self._log.append(told, agent_seq=0)
        self._is_taken_up = True
        self._resume_after = None
        self._recovered(loss.kind)

    async def _patiently(self, step: Callable[[], Awaitable[Answer]], give_up_s: float) -> Answer:
        """Do the step, again while what it needs is away, until `give_up_s` of the clock."""
        while True:
            try:
                return await step()
            except ContainersError as error:
                if not may_pass(error) or anyio.current_time() >= give_up_s:
                    raise
                logger.info("recovery waits", turn=self._turn_id, reason=str(error))
            await anyio.sleep(self._limits.retry_pause_s)

    @spanned("converse")
    async def _converse(self, claim: Claim) -> Ending:
        stream = TurnStream(
            agent=claim.agent,
            request=RunTurn(
                turn_id=self._turn_id,
                text=self._text,
                session_id=self._files.session_id,
                is_taken_up=self._is_taken_up,
                options=self._conversation.options,
            ),
            record=self._record,
            remember_session=partial(self._remember_session, claim.generation),
            limits=self._limits,
            resume_after=self._resume_after,
        )
        self._live_sync = LiveSync(
            schedule=SyncSchedule(
                quiet_s=self._limits.sync_quiet_s, longest_wait_s=self._limits.sync_longest_wait_s
            ),
            save=lambda event_number: self._files.commit(claim, event_number),
            tell=self._log.append,
        )
        with anyio.CancelScope(deadline=self._deadline_s):
            return Ending(await self._live_sync.beside(stream.run), is_container_sound=True)
        return Ending(failures.timed_out(self._limits.timeout_s), is_container_sound=False)

    async def _record(self, data: Sequence[EventData], agent_seq: int) -> None:
        last_event = await self._log.append(*data, agent_seq=agent_seq)
        if self._live_sync is not None:
            self._live_sync.saw(data, last_event=last_event)

    async def _remember_session(self, generation: int, session_id: str) -> None:
        await self._store.set_session_id(self._workspace_id, session_id, generation=generation)
        self._files.session_id = session_id

    async def _let_go(self, ending: Ending) -> None:
        """Keep a sound container for the next turn; remove one whose state is not known.

        A sound container whose files could not be saved holds the only copy: it stays until a
        later turn, or the collector, has saved them. So does a dead one that does, and what is left
        of one that is not sound.
        """
        if self._is_kept:
            return
        try:
            await PatientCall().run(
                self._letting_go(ending), timeout_s=self._limits.retire_timeout_s
            )
        except Exception:  # noqa: BLE001 - what is left over is the garbage collector's
            await logger.aexception("container not let go", workspace=self._workspace_id)

    async def _letting_go(self, ending: Ending) -> None:
        is_unsaved, reason = self._files.is_unsaved, getattr(ending.data, "code", "turn-failed")
        if ending.is_container_sound:
            await self._containers.release(self._workspace_id, is_saved=not is_unsaved)
            return
        left = self._claim or self._lost
        if left is not None and is_unsaved:
            await self._set_down(left)
        elif left is not None:
            await self._containers.retire(
                self._workspace_id, reason=reason, container_id=left.container_id
            )
        if self._claim is None:  # it does not know what others have in the container
            await self._containers.withdraw(self._workspace_id, reason=reason)

    async def _set_down(self, claim: Claim) -> None:
        """End a container that is not to be used any more, and leave its files to be saved."""
        try:
            await self._containers.halt(self._workspace_id, container_id=claim.container_id)
        finally:
            await self._containers.release(self._workspace_id, is_saved=False)

    async def _why_lost(self, claim: Claim) -> str:
        with anyio.move_on_after(self._limits.retire_timeout_s), suppress(ContainersError):
            return await self._containers.why_lost(claim.container_id)
        return ""

    def _not_begun(self, error: Exception) -> Ending:
        if self._stopped is not None:
            return Ending(failures.stopped(self._stopped), is_container_sound=False)
        self._is_kept = isinstance(error, FilesUnsavedError)
        told = self._explain(self._files.restore_failure or error, is_working=False)
        return Ending(told, is_container_sound=False)

    def _explain(self, error: Exception, *, is_working: bool, why_lost: str = "") -> Error:
        if not failures.is_known(error):
            logger.error("turn failed", turn=self._turn_id, exc_info=error)
        if is_working:
            return failures.error_while_working(error, why_lost=why_lost)
        return failures.error_while_starting(error)
