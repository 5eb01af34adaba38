"""One turn of a chat: one model call with the log as its history. No container, no files."""

from collections.abc import AsyncIterator, Sequence

import anyio
import structlog

from hakoiri.host.conversations import failures
from hakoiri.host.conversations.chat_history import ChatHistory
from hakoiri.host.conversations.event_feed import PAGE_LIMIT_EVENTS
from hakoiri.host.conversations.failures import Ending
from hakoiri.host.conversations.inbox import Inbox, closing
from hakoiri.host.conversations.model import Conversation, StopReason, TurnLimits
from hakoiri.host.conversations.ports import ChatModel, ChatModelError, ConversationStore
from hakoiri.host.conversations.turn_log import TurnLog
from hakoiri.host.conversations.turn_span import tell_ending, turn_span
from hakoiri.wire.events import ConversationEvent, Error, EventData, Result, TurnStarted

logger = structlog.get_logger()


class ChatTurn:
    """Runs one turn; `run` raises nothing but cancellation."""

    def __init__(
        self,
        *,
        conversation: Conversation,
        log: TurnLog,
        store: ConversationStore,
        model: ChatModel,
        limits: TurnLimits,
    ) -> None:
        self._conversation = conversation
        self._log = log
        self._store = store
        self._model = model
        self._limits = limits
        self._stopped: StopReason | None = None
        self._scope = anyio.CancelScope()

    async def run(self) -> Ending:
        """Ask the model and record what it says. Return how the turn ends; the caller logs it."""
        with turn_span(self._conversation, self._log.turn) as span:
            return tell_ending(span, await self._run())

    async def _run(self) -> Ending:
        data: Result | Error | None = None
        with self._scope:
            data = await self._work()
        if data is None or self._stopped is StopReason.SERVER_STOPPED:
            data = failures.stopped(self._stopped or StopReason.SERVER_STOPPED)
        return Ending(data, is_container_sound=True)

    async def stop(self, reason: StopReason) -> None:
        """End the turn now: a model call can be cut off at any point."""
        if self._stopped is None or reason is StopReason.SERVER_STOPPED:
            self._stopped = reason
        self._scope.cancel()

    async def _work(self) -> Result | Error:
        try:
            with anyio.move_on_after(self._limits.timeout_s):
                await self._log.append(TurnStarted())
                return await self._ask()
        except Exception as error:  # noqa: BLE001 - every failure has to end the turn
            if not failures.is_known(error):
                await logger.aerror("turn failed", turn=self._log.turn, exc_info=error)
            return failures.error_while_working(error)
        return failures.timed_out(self._limits.timeout_s)

    async def _ask(self) -> Result | Error:
        history = ChatHistory()
        async for page in _whole_log(self._store, self._conversation.id):
            history.add(page)
        answer = self._model.answer(conversation=self._conversation, history=history.messages())
        inbox: Inbox[EventData] = Inbox()
        async with anyio.create_task_group() as group:
            group.start_soon(self._receive, answer, inbox)
            while batch := await inbox.take():
                terminal = next((item for item in batch if isinstance(item, (Result, Error))), None)
                await self._log.append(
                    *(item for item in batch if not isinstance(item, (Result, Error)))
                )
                if terminal is not None:
                    group.cancel_scope.cancel()
                    return terminal
        raise inbox.failure or ChatModelError("the answer broke off")

    async def _receive(self, answer: AsyncIterator[EventData], inbox: Inbox[EventData]) -> None:
        limit_s = self._limits.silence_timeout_s
        try:
            async with closing(answer):
                while True:
                    with anyio.fail_after(limit_s):
                        item = await anext(answer, None)
                    if item is None:
                        break
                    await inbox.put(item, size_bytes=len(item.model_dump_json()))
        except ChatModelError as error:
            await inbox.close(error)
        except TimeoutError:
            await inbox.close(ChatModelError(f"the model said nothing for {limit_s:g} s"))
        else:
            await inbox.close()


async def _whole_log(
    store: ConversationStore, conversation_id: str
) -> AsyncIterator[Sequence[ConversationEvent]]:
    after = 0
    while page := await store.read(
        conversation_id=conversation_id, after=after, limit=PAGE_LIMIT_EVENTS
    ):
        after = page[-1].id
        yield page
