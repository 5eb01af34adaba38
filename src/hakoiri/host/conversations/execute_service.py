"""Turns as tasks of the server: they begin with a request and outlive it.

Every turn that began ends in one `result` or `error`, whatever fails; if even that cannot be
recorded, it is tried as long as the server lives. Turns that nobody runs, such as those that an
earlier server left running, are taken up.

Of several servers on one database, the one that has the conversation's lease runs its turn. Should
two believe that, the log takes the events of one (see `TurnLog`).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Self

import anyio
import structlog
from anyio.abc import TaskGroup

from hakoiri.host.containers.ports import ContainersError
from hakoiri.host.conversations import failures
from hakoiri.host.conversations.agent_turn import AgentTurn
from hakoiri.host.conversations.chat_turn import ChatTurn
from hakoiri.host.conversations.event_feed import EventFeed
from hakoiri.host.conversations.model import (
    Conversation,
    ConversationKind,
    StopReason,
    TurnLimits,
    UnfinishedTurn,
)
from hakoiri.host.conversations.policy_service import PolicyService
from hakoiri.host.conversations.ports import (
    ChatModel,
    Containers,
    ConversationStore,
    NoSuchConversationError,
    NoTurnRunningError,
    ServerStoppingError,
    TurnRunningError,
    WorkspaceFiles,
)
from hakoiri.host.conversations.recovery import LossKind
from hakoiri.host.conversations.turn_ends import TurnEnds
from hakoiri.host.conversations.turn_history import (
    RESTART_LIMIT,
    RESTARTED,
    TurnHistory,
    read_history,
)
from hakoiri.host.conversations.turn_leases import TurnLeases, check_held, check_left_behind
from hakoiri.host.conversations.turn_log import TurnLog
from hakoiri.host.coordination.in_process import InProcessHub
from hakoiri.host.coordination.ports import Coordination, CoordinationError, Topic
from hakoiri.host.telemetry.metrics import TurnResult
from hakoiri.wire.events import ConversationEvent, Error, Result
from hakoiri.wire.messages import Runtime

logger = structlog.get_logger()

Turn = AgentTurn | ChatTurn


async def _nothing_is_elsewhere(_: str) -> bool:
    return False


class ExecuteService:
    """Begins, watches over and ends turns. Use as `async with`: leaving ends all turns."""

    def __init__(
        self,
        *,
        store: ConversationStore,
        feed: EventFeed,
        policies: PolicyService,
        containers: Containers,
        files: WorkspaceFiles,
        chat_model: ChatModel,
        limits: TurnLimits,
        clock: Callable[[], datetime],
        runtimes: Sequence[Runtime],
        default_model: str | None = None,
        turn_ended: Callable[[TurnResult], None] = lambda _: None,
        recovered: Callable[[LossKind], None] = lambda _: None,
        leaves_turns: Callable[[], bool] = lambda: False,
        coordination: Coordination | None = None,
        is_elsewhere: Callable[[str], Awaitable[bool]] = _nothing_is_elsewhere,
    ) -> None:
        """`runtimes` are those containers may have, the usual one first.

        `turn_ended` is told the last event's type of each turn, `recovered` of lost containers. If
        `leaves_turns` says so when the service is left, turns are left as they are, for the next
        server to take up. `is_elsewhere` says whether a workspace is live on another server, which
        then takes up its turn itself.
        """
        self._coordination = coordination or InProcessHub().server()
        self._leases = TurnLeases(self._coordination.leases)
        self._is_elsewhere = is_elsewhere
        self._store = store
        self._feed = feed
        self._policies = policies
        self._containers = containers
        self._files = files
        self._chat_model = chat_model
        self._limits = limits
        self._clock = clock
        self._runtimes = runtimes
        self._default_model = default_model
        self._turn_ended = turn_ended
        self._ends = TurnEnds(feed=feed, told=turn_ended, retry_pause_s=limits.retry_pause_s)
        self._recovered = recovered
        self._leaves_turns = leaves_turns
        self._has_left = False
        self._group: TaskGroup | None = None
        self._running: dict[str, Turn] = {}
        # One at a time: a turn that is recorded as running but not yet in `_running` would look
        # like one that an earlier server left behind.
        self._beginning = anyio.Lock()
        self._all_ended = anyio.Event()

    async def __aenter__(self) -> Self:
        self._group = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Interrupt all turns, give them `shutdown_timeout_s` together, end the rest."""
        group, self._group = self._group, None
        if group is None:
            return
        self._ends.leave()
        if self._leaves_turns():
            self._has_left = True
            for turn in self._running.values():
                if isinstance(turn, AgentTurn):
                    turn.leave()
        else:
            await self._stop_all(group)
        group.cancel_scope.cancel()
        await group.__aexit__(kind, error, trace)

    async def _stop_all(self, group: TaskGroup) -> None:
        with anyio.move_on_after(self._limits.shutdown_timeout_s, shield=True):
            for turn in self._running.values():
                group.start_soon(turn.stop, StopReason.SERVER_STOPPED)
            if self._running:
                await self._all_ended.wait()

    async def start_turn(
        self, *, tenant: str, conversation_id: str, text: str
    ) -> ConversationEvent:
        """Record the user's message and begin the turn; return the message as it was logged.

        Raises `NoSuchConversationError`, `TurnRunningError`, `ServerStoppingError`, `StoreError`,
        `CoordinationError`, and `CapacityError` where the line for containers is full: what cannot
        even wait is refused before it is recorded.
        """

        async def is_running() -> bool:
            found = await self._store.get(tenant=tenant, conversation_id=conversation_id)
            return found.running

        async with (
            self._beginning,
            self._leases.beginning(conversation_id, is_running=is_running) as lease,
        ):
            conversation = await self._store.get(tenant=tenant, conversation_id=conversation_id)
            if conversation.running and conversation_id not in self._running:
                check_left_behind(lease)
                await self._close(conversation)
            check_held(lease)
            group = self._group
            if group is None:
                raise ServerStoppingError("the server is stopping; retry when it is back")
            if conversation.workspace_id is not None and conversation_id not in self._running:
                self._containers.check_room(
                    workspace_id=conversation.workspace_id, tenant=conversation.tenant
                )
            return await self._begin(group, conversation, text)

    async def _begin(
        self, group: TaskGroup, conversation: Conversation, text: str
    ) -> ConversationEvent:
        # Once the message is recorded the turn must begin, even if the client goes away now.
        with anyio.CancelScope(shield=True):
            message = await self._store.begin_turn(
                conversation_id=conversation.id, text=text, now=self._clock()
            )
        self._feed.publish([message])
        log = TurnLog(store=self._store, feed=self._feed, clock=self._clock, message=message)
        turn = self._turn(conversation, text, log)
        self._running[conversation.id] = turn
        group.start_soon(self._run, turn, log, name=f"turn {conversation.id} {message.turn}")
        return message

    async def interrupt(self, *, tenant: str, conversation_id: str) -> None:
        """Ask the running turn to end early.

        Raises `NoSuchConversationError`, `NoTurnRunningError`.
        """
        conversation = await self._store.get(tenant=tenant, conversation_id=conversation_id)
        if self.interrupt_here(conversation_id):
            return
        if not (self._coordination.is_shared and conversation.running):
            raise NoTurnRunningError("no turn is running; there is nothing to interrupt")
        self._coordination.fanout.announce(Topic.INTERRUPT, conversation_id)

    def interrupt_here(self, conversation_id: str) -> bool:
        """Ask the turn to end early if this server runs it; whether it does."""
        turn = self._running.get(conversation_id)
        if turn is None or self._group is None:
            return False
        self._group.start_soon(turn.stop, StopReason.INTERRUPTED)
        return True

    async def delete(self, *, tenant: str, conversation_id: str) -> None:
        """Forget a conversation and give up its container.

        Raises `NoSuchConversationError`, `TurnRunningError`, `StoreError`.
        """
        conversation = await self._store.get(tenant=tenant, conversation_id=conversation_id)
        await self._store.delete(tenant=tenant, conversation_id=conversation_id)
        self._feed.close(conversation_id)
        self._coordination.fanout.announce(Topic.CLOSED, conversation_id)
        if conversation.workspace_id is None:
            return
        try:
            await self._containers.retire(
                conversation.workspace_id, reason="deleted", for_good=True
            )
        except ContainersError:
            # Nobody owns it any more, so the garbage collector will find it.
            await logger.aexception("container not retired", workspace=conversation.workspace_id)

    async def take_up_unfinished(self) -> int:
        """Go on with turns that nobody runs, or close what cannot be.

        Returns how many turns are recorded as running. Call before serving, when live containers
        are adopted, inside of the service's `async with`; and again from time to time: turns that
        this server or another one runs are not touched. Raises `StoreError`.
        """
        unfinished = await self._store.unfinished_turns()
        for turn in unfinished:
            async with self._beginning:
                if turn.conversation_id not in self._running:
                    await self._take_up_if_left(turn)
        return len(unfinished)

    async def _take_up_if_left(self, unfinished: UnfinishedTurn) -> None:
        conversation_id = unfinished.conversation_id

        async def is_running() -> bool:
            return True

        try:
            async with self._leases.beginning(conversation_id, is_running=is_running) as lease:
                conversation = await self._store.get(
                    tenant=unfinished.tenant, conversation_id=conversation_id
                )
                check_left_behind(lease)
                has_begun = not await self._is_others(conversation) and await self._take_up(
                    conversation, unfinished
                )
        except (TurnRunningError, CoordinationError, NoTurnRunningError) as error:
            await logger.adebug("turn left alone", conversation=conversation_id, reason=str(error))
            return
        if not has_begun:
            await self._leases.give_back(conversation_id)

    async def _is_others(self, conversation: Conversation) -> bool:
        workspace_id = conversation.workspace_id
        return workspace_id is not None and await self._is_elsewhere(workspace_id)

    async def _take_up(self, conversation: Conversation, unfinished: UnfinishedTurn) -> bool:
        """Go on with the turn, or close it; whether it goes on."""
        milestones = await self._store.milestones(
            conversation_id=conversation.id, turn=unfinished.turn
        )
        history = read_history(milestones, agent_seq=conversation.agent_seq)
        is_agents = conversation.workspace_id is not None
        if self._group is None or history is None or not is_agents:
            await self._close(conversation)
            return False
        if history.restarts >= RESTART_LIMIT:
            await self._close(conversation)
            return False
        log = TurnLog(
            store=self._store,
            feed=self._feed,
            clock=self._clock,
            message=history.message,
            last_event=conversation.last_event,
        )
        await log.append(RESTARTED)
        turn = self._turn(conversation, history.text, log, history)
        self._running[conversation.id] = turn
        name = f"turn {conversation.id} {unfinished.turn}, taken up"
        self._group.start_soon(self._run, turn, log, name=name)
        return True

    async def _close(self, conversation: Conversation) -> None:
        """Close the turn that the conversation had when it was read, unless it went on since."""
        try:
            added = await self._store.append(
                conversation_id=conversation.id,
                turn=conversation.turn,
                events=[failures.restarted()],
                now=self._clock(),
                follows=conversation.last_event,
            )
        except (NoTurnRunningError, NoSuchConversationError):
            return  # somebody else was faster
        self._turn_ended("error")
        self._feed.publish(added)

    def _turn(
        self,
        conversation: Conversation,
        text: str,
        log: TurnLog,
        history: TurnHistory | None = None,
    ) -> Turn:
        conversation = _with_model(conversation, self._default_model)
        if conversation.kind is ConversationKind.CHAT or conversation.workspace_id is None:
            return ChatTurn(
                conversation=conversation,
                log=log,
                store=self._store,
                model=self._chat_model,
                limits=self._limits,
            )
        return AgentTurn(
            conversation=conversation,
            workspace_id=conversation.workspace_id,
            text=text,
            log=log,
            store=self._store,
            current_policy=lambda: self._policies.effective(
                tenant=conversation.tenant, name=conversation.policy
            ),
            containers=self._containers,
            files=self._files,
            limits=self._limits,
            runtimes=self._runtimes,
            recovered=self._recovered,
            history=history,
        )

    async def _run(self, turn: Turn, log: TurnLog) -> None:
        last: Result | Error = failures.stopped(StopReason.SERVER_STOPPED)
        try:
            last = (await turn.run()).data
        except Exception as error:  # noqa: BLE001 - one turn's fault must not end the others
            await logger.aexception("turn failed", conversation=log.conversation_id)
            last = failures.error_while_working(error)
        finally:
            if not (self._has_left and isinstance(turn, AgentTurn)):
                with anyio.CancelScope(shield=True):
                    await self._ends.record(log, last)
            if self._running.get(log.conversation_id) is turn:
                del self._running[log.conversation_id]
            if not self._has_left:  # those of turns that are left run out, or are the next server's
                with anyio.CancelScope(shield=True):
                    await self._leases.give_back(log.conversation_id)
            if self._group is None and not self._running:
                self._all_ended.set()


def _with_model(conversation: Conversation, model: str | None) -> Conversation:
    if conversation.options.model is not None or model is None:
        return conversation
    options = conversation.options.model_copy(update={"model": model})
    return replace(conversation, options=options)
