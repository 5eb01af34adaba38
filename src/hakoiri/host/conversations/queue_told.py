"""Tells a conversation that its turn waits for a container, and where in the line.

The line moves as others come and go, and waits for nobody's database: the newest place is noted,
and a task beside the wait records it, at most once in a while.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio

from hakoiri.host.containers.admission import LinePlace
from hakoiri.host.conversations.ports import ConversationsError
from hakoiri.wire.events import Queued

Answer = TypeVar("Answer")

TELL_EVERY_S: Final = 1.0
"""Between two events of one wait, however fast the line moves."""


class QueueTold:
    """Records one turn's wait."""

    def __init__(
        self, *, append: Callable[[Queued], Awaitable[object]], every_s: float = TELL_EVERY_S
    ) -> None:
        """`append` records an event; one that fails ends the telling, not the wait."""
        self._append = append
        self._every_s = every_s
        self._newest: LinePlace | None = None
        self._news = anyio.Event()
        self._over = anyio.Event()

    def now_at(self, place: LinePlace) -> None:
        """Note where the turn stands now."""
        self._newest = place
        self._news.set()

    async def beside(self, wait: Callable[[], Awaitable[Answer]]) -> Answer:
        """Do `wait` while its places are told; return what it returns or raise what it raises.

        No event comes after: one that is being recorded is waited for.
        """
        outcome: list[Answer] = []
        failure: Exception | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._keep_telling)
            try:
                outcome.append(await wait())
            except Exception as error:  # noqa: BLE001 - raised again, not as part of a group
                failure = error
            self._over.set()
            self._news.set()
        if failure is not None:
            raise failure
        return outcome[0]

    async def _keep_telling(self) -> None:
        while True:
            await self._news.wait()
            place, self._news = self._newest, anyio.Event()
            if place is None or self._over.is_set():
                return
            try:
                with anyio.CancelScope(shield=True):  # a record half made would be seen by nobody
                    await self._append(
                        Queued(
                            position=place.position,
                            waiting=place.waiting,
                            reason=place.reason,
                            limit_s=place.limit_s,
                        )
                    )
            except ConversationsError:
                return  # also the database's: the turn's next event shows it
            with anyio.move_on_after(self._every_s):
                await self._over.wait()
