"""`Coordination` through Redis: its parts, and the tasks that keep them going."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import structlog

from hakoiri.host.adapters.redis.fanout import RedisFanout
from hakoiri.host.adapters.redis.leases import RedisLeases
from hakoiri.host.adapters.redis.link import RedisLink
from hakoiri.host.coordination.bounded_news import SUBJECTS_LIMIT
from hakoiri.host.coordination.ports import CoordinationAwayError, WhenAway

RENEWALS_A_LEASE: Final = 3
"""So many times in its length a lease is renewed: two may fail."""

FIRST_RETRY_S: Final = 0.25
CANCEL_AGAIN_S: Final = 0.1

log = structlog.get_logger(__name__)


class RedisCoordination:
    """Use as `async with`. It opens whether or not Redis answers, and tells if it does not."""

    def __init__(
        self,
        link: RedisLink,
        *,
        namespace: str,
        holder: str,
        lease_s: float,
        when_away: WhenAway,
        limit: int = SUBJECTS_LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`holder` names this server through all its starts; `clock` gives monotonic seconds."""
        self.link = link
        self.leases = RedisLeases(
            link,
            namespace=namespace,
            holder=holder,
            lease_s=lease_s,
            when_away=when_away,
            clock=clock,
        )
        self.fanout = RedisFanout(link, namespace=namespace, limit=limit)
        self._renew_every_s = lease_s / RENEWALS_A_LEASE
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        await self.renew()
        for name, work in (
            ("renew leases", self._keep()),
            ("send news", self.fanout.send()),
            ("receive news", self.fanout.receive()),
        ):
            self._tasks.append(self._group.create_task(work, name=name))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop renewing; what is still held runs out."""
        await self._end_tasks()
        is_cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
        try:
            # What failed in the block is raised as it is; a group would wrap it.
            await self._group.__aexit__(
                *((kind, error, trace) if is_cancelled else (None, None, None))
            )
        finally:
            await self.link.close()

    @property
    def is_shared(self) -> bool:
        """Return True: that is what it is for."""
        return True

    def failure(self) -> str | None:
        """Return why Redis cannot be used now; None if it can."""
        return self.link.failure

    async def renew(self) -> bool:
        """Renew all leases once; whether Redis answered."""
        try:
            await self.leases.renew()
        except CoordinationAwayError:
            return False
        return True

    async def _end_tasks(self) -> None:
        # Redis' client may make an error of its own of a cancellation, and the task goes on.
        while pending := [task for task in self._tasks if not task.done()]:
            for task in pending:
                task.cancel()
            await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)

    async def _keep(self) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            if self.link.failure is None:
                retry_s = FIRST_RETRY_S
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._renew_every_s):
                        await self.link.until_away()
            if self.link.failure is not None:
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, self._renew_every_s)
            await self.renew()
