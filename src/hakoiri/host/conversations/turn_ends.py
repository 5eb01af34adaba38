"""Recording how a turn ended, for as long as it takes: a database that is away comes back.

Until then the turn counts as running, here and in the log: nobody else takes it up, the next
message is refused as long, and its watchers stay. Only a server that ends gives up, and leaves the
turn to be closed by the next.
"""

from collections.abc import Callable
from typing import Final

import anyio
import structlog

from hakoiri.host.conversations.event_feed import EventFeed
from hakoiri.host.conversations.ports import ConversationsError, StoreError
from hakoiri.host.conversations.turn_log import TurnLog
from hakoiri.host.telemetry.metrics import TurnResult
from hakoiri.wire.events import Error, Result

RECORD_PAUSE_MAX_S: Final = 5.0
"""The longest pause between two attempts; so long after the database is back a turn ends."""

LAST_ATTEMPTS: Final = 5
"""A server that ends tries so often more, half a second longer apart each time."""

logger = structlog.get_logger()


class TurnEnds:
    """Appends turns' last events. Not cancelled by scopes when called in a shielded one."""

    def __init__(
        self,
        *,
        feed: EventFeed,
        told: Callable[[TurnResult], None],
        retry_pause_s: float,
    ) -> None:
        """`told` hears the type of each last event once it is recorded."""
        self._feed = feed
        self._told = told
        self._retry_pause_s = retry_pause_s
        self._is_leaving = anyio.Event()

    def leave(self) -> None:
        """The server ends: whoever still tries does so for a few seconds more."""
        self._is_leaving.set()

    async def record(self, log: TurnLog, last: Result | Error) -> None:
        """Append the event; return when it is in the log, or the log is closed to this server."""
        attempts, left = 0, LAST_ATTEMPTS
        while left:
            try:
                await log.append(last)
            except StoreError as error:
                if attempts == 0:
                    await logger.awarning(
                        "a turn's end is not recorded yet",
                        conversation=log.conversation_id,
                        turn=log.turn,
                        reason=str(error),
                    )
            except ConversationsError:
                # It has ended, or goes on elsewhere: who watches reads on from the store.
                self._feed.wake(log.conversation_id)
                return
            else:
                self._told(last.type)
                return
            attempts += 1
            left -= self._is_leaving.is_set()
            await self._pause(attempts, LAST_ATTEMPTS - left)
        await logger.aerror(
            "a turn's end could not be recorded; the next server closes it",
            conversation=log.conversation_id,
            turn=log.turn,
        )

    async def _pause(self, attempts: int, last_attempts: int) -> None:
        if self._is_leaving.is_set():
            await anyio.sleep(self._retry_pause_s * last_attempts)
            return
        pause_s = min(self._retry_pause_s * attempts, RECORD_PAUSE_MAX_S)
        with anyio.move_on_after(pause_s):
            await self._is_leaving.wait()
