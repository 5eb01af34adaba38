"""Saves a turn's files while it runs, beside it and never in its way."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

import anyio
import structlog

from hakoiri.host.conversations import failures
from hakoiri.host.conversations.ports import ConversationsError
from hakoiri.host.conversations.sync_schedule import SyncSchedule
from hakoiri.host.files.ports import FilesError
from hakoiri.wire.events import EventData, FileSynced, Notice, ToolResult, ToolUse

logger = structlog.get_logger()

Answer = TypeVar("Answer")

NOT_SAVED: Final = "files-not-saved"
"""The code of the notice."""


class LiveSync:
    """Commits recovery points beside one turn, one at a time.

    `save` commits one for an event number, raising `FilesError`; `tell` appends to the turn's log.
    A recovery point carries the number of the last tool's call or result before it began: the
    files and the agent's memory on the disk have come at least as far as that.
    """

    def __init__(
        self,
        *,
        schedule: SyncSchedule,
        save: Callable[[int], Awaitable[FileSynced]],
        tell: Callable[[EventData], Awaitable[object]],
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._schedule = schedule
        self._save = save
        self._tell = tell
        self._clock = clock
        self._covered_event = 0
        self._is_over = False
        self._news = anyio.Event()

    def saw(self, events: Sequence[EventData], *, last_event: int) -> None:
        """Take note of recorded events, the last of which has the number `last_event`."""
        first_event = last_event - len(events) + 1
        for number, event in enumerate(events, first_event):
            if isinstance(event, (ToolUse, ToolResult)):
                self._covered_event = number
        before = self._schedule.due_at()
        self._schedule.saw(events, now=self._clock())
        if self._schedule.due_at() != before:
            self._news.set()

    async def beside(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Do `work` while files are saved; return what it returns or raise what it raises.

        A save that runs when the work ends is waited for, for the turn's last one builds on it.
        """
        outcome: list[Answer] = []
        failure: Exception | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._keep_saving)
            try:
                outcome.append(await work())
            except Exception as error:  # noqa: BLE001 - raised again, not as part of a group
                failure = error
            self._is_over = True
            self._news.set()
        if failure is not None:
            raise failure
        return outcome[0]

    async def _keep_saving(self) -> None:
        while await self._wait_until_due():
            self._schedule.begin(now=self._clock())
            await self._save_once()

    async def _wait_until_due(self) -> bool:
        """Return True when a save is due, False when the work is over."""
        while not self._is_over:
            due = self._schedule.due_at()
            if due is not None and due <= self._clock():
                return True
            self._news = anyio.Event()
            with anyio.move_on_after(None if due is None else due - self._clock()):
                await self._news.wait()
        return False

    async def _save_once(self) -> None:
        told: FileSynced | Notice | None
        was_failing = self._schedule.is_failing
        try:
            told = await self._save(self._covered_event)
            self._schedule.succeed()
        except Exception as error:  # noqa: BLE001 - a save that fails must not end the turn
            self._schedule.fail(now=self._clock())
            await logger.awarning("files not saved while the turn runs", reason=str(error))
            reason = str(error) if isinstance(error, FilesError) else "the server's log says why"
            text = f"The files are not saved yet, and saving is tried again: {reason}"
            # One word at the first failure; that it works again is told by the next `file_synced`.
            told = None if was_failing else Notice(code=NOT_SAVED, text=failures.clip(text))
        if told is not None:
            with suppress(ConversationsError):
                await self._tell(told)
