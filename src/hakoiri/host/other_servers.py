"""What this server does about others that are gone, and about having been taken for gone itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

import structlog

from hakoiri.host.adapters.sql.claim_take_over import SqlClaimTakeOver
from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.containers.given_up import GivenUp
from hakoiri.host.containers.model import mark
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import ContainersError
from hakoiri.host.containers.shared_claims import SharedClaims
from hakoiri.host.conversations.event_feed import EventFeed
from hakoiri.host.conversations.lost_servers import LostServers
from hakoiri.host.conversations.ports import ConversationsError
from hakoiri.host.coordination.ports import Coordination, CoordinationError
from hakoiri.host.coordination.presence import Presence

SHOW_ATTEMPTS: Final = 20
SHOW_PAUSE_S: Final = 0.5

log = structlog.get_logger(__name__)

Sleep = Callable[[float], Awaitable[None]]


class OtherServers:
    """One a server that has others beside it."""

    def __init__(
        self,
        *,
        presence: Presence,
        given_up: GivenUp,
        lost: LostServers | None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Without `lost`, no server is ever taken for gone by this one."""
        self._presence = presence
        self._given_up = given_up
        self._lost = lost
        self._sleep = sleep

    async def begin(self) -> None:
        """Show that this server lives, before it adopts anything.

        Another server that takes this one's workspaces over at this moment is waited for, for a
        while. Who adopts beside it all the same does no harm: the database fences him off.
        """
        for _ in range(SHOW_ATTEMPTS):
            if await self._presence.show():
                return
            await self._sleep(SHOW_PAUSE_S)

    async def run(self, *, every_s: float) -> None:
        """Look every so often until cancelled."""
        while True:
            await self._sleep(every_s)
            await self.step()

    async def step(self) -> None:
        """Show a sign of life, let go of what was taken over, take over what is left behind."""
        await self._presence.show()
        try:
            await self._given_up.step()
            if self._lost is not None:
                await self._lost.step()
        except (ContainersError, ConversationsError, CoordinationError) as error:
            log.warning("other_servers_not_looked_at", reason=str(error))


def make_other_servers(
    *,
    instance: str,
    give_up_after_s: float,
    coordination: Coordination,
    claims: SharedClaims,
    database: Database,
    orchestrator: Orchestrator,
    feed: EventFeed,
    take_up_turns: Callable[[], Awaitable[object]],
    now: Callable[[], datetime],
) -> OtherServers:
    """Put it together; `give_up_after_s` of 0 means that no server is taken for gone."""
    return OtherServers(
        presence=Presence(coordination.leases, mark=mark(instance)),
        given_up=GivenUp(orchestrator=orchestrator, claims=claims),
        lost=LostServers(
            coordination=coordination,
            claims=claims,
            take_over=SqlClaimTakeOver(database),
            feed=feed,
            take_up_turns=take_up_turns,
            limit_s=give_up_after_s,
            clock=time.monotonic,
            now=now,
        )
        if give_up_after_s
        else None,
    )
