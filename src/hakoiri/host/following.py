"""What this server does about what other servers did, and about turns that nobody runs."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final, Protocol

import structlog

from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.pool_service import PoolService
from hakoiri.host.containers.ports import ContainersError
from hakoiri.host.conversations.event_feed import EventFeed
from hakoiri.host.conversations.execute_service import ExecuteService
from hakoiri.host.conversations.ports import StoreError
from hakoiri.host.conversations.workspace_owners import WorkspaceOwners
from hakoiri.host.coordination.ports import Fanout, News, Topic

AT_ONCE: Final = 8
RETRY_S: Final = 1.0

log = structlog.get_logger(__name__)

Work = Callable[[], Awaitable[None]]
Keeping = tuple[str, Coroutine[Any, Any, None]]


class Others(Protocol):
    """Looks after other servers."""

    async def run(self, *, every_s: float) -> None:
        """Look every so often until cancelled."""


class Following:
    """Hears news, and never lets a slow one hold up those for watchers."""

    def __init__(
        self,
        *,
        fanout: Fanout,
        feed: EventFeed,
        execute: ExecuteService,
        orchestrator: Orchestrator,
        owners: WorkspaceOwners,
        pool: PoolService,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Nothing is heard yet."""
        self._fanout = fanout
        self._feed = feed
        self._execute = execute
        self._orchestrator = orchestrator
        self._owners = owners
        self._pool = pool
        self._sleep = sleep
        self._quick: Mapping[Topic, Callable[[str], object]] = {
            Topic.EVENTS: feed.wake,
            Topic.CLOSED: feed.close,
            Topic.INTERRUPT: execute.interrupt_here,
        }
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._policies = asyncio.Lock()
        self._is_round_due = False

    def keepings(self, others: Others | None, *, every_s: float) -> list[Keeping]:
        """Return what runs as long as the server, by name: one alone has turns to look after, too.

        `others` look after other servers; None where there are none.
        """
        alone: list[Keeping] = [("unfinished turns", self.look_after_turns(every_s=every_s))]
        if others is None:
            return alone
        return [*alone, ("news", self.run()), ("other servers", others.run(every_s=every_s))]

    async def run(self) -> None:
        """Follow the news until cancelled."""
        async with asyncio.TaskGroup() as group, self._fanout.listen() as all_news:
            async for news in all_news:
                for work in self.follow(news):
                    group.create_task(self._do(work), name=f"follow {news.topic}")

    async def look_after_turns(self, *, every_s: float) -> None:
        """Take up turns that nobody runs, until cancelled.

        Of a server that is gone; or of this one, which was told that a turn could not be begun
        though the database had begun it.
        """
        while True:
            await self._sleep(every_s)
            try:
                await self._execute.take_up_unfinished()
            except Exception as error:  # noqa: BLE001 - one that cannot be read ends no server
                log.warning("unfinished_turns_not_read", reason=str(error))

    def follow(self, news: News) -> list[Work]:
        """Do at once what is quick; return what is not."""
        subjects = news.subjects or frozenset()
        if news.topic is Topic.EVENTS and news.subjects is None:
            self._feed.wake_all()
        quick = self._quick.get(news.topic)
        if quick is not None:
            for subject in subjects:
                quick(subject)
            return []
        match news.topic:
            case Topic.HAND_OVER:
                return [partial(self._hand_over, workspace_id) for workspace_id in subjects]
            case Topic.POLICIES:
                return [self._put_under_new_policies]
            case _:
                return [self._pool.follow]

    async def _do(self, work: Work) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - one piece of news must not end the others
            log.warning("news_not_followed", reason=str(error))

    async def _hand_over(self, workspace_id: str) -> None:
        async with self._slots:  # removals take long where the engine hangs; policies do not wait
            await self._orchestrator.retire_if_idle(
                workspace_id, "another server needs the workspace"
            )

    async def _put_under_new_policies(self) -> None:
        """Bind every live workspace whose policy is another now; what cannot be bound is ended.

        A database that does not answer is asked until it does: an old policy must not stay in force
        unseen.
        """
        if self._is_round_due:
            return  # the one that waits will read what is new now
        self._is_round_due = True
        async with self._policies:
            self._is_round_due = False
            for member in self._orchestrator.members():
                while not await self._has_new_policy(member.workspace_id):
                    await self._sleep(RETRY_S)

    async def _has_new_policy(self, workspace_id: str) -> bool:
        try:
            owner = await self._owners.owner(workspace_id)
        except StoreError as error:
            log.warning("policies_not_read", reason=str(error))
            return False
        live = self._orchestrator.live_in(workspace_id)
        if owner is None or live is None or live.policy == owner.policy:
            return True  # one that is nobody's any more is the collector's
        try:
            await self._orchestrator.rebind(
                workspace_id=workspace_id,
                tenant=owner.tenant,
                policy=owner.policy,
                ends_refused=True,
            )
        except ContainersError as error:
            log.warning("container_given_up", workspace=workspace_id, reason=str(error))
        return True
