"""Keeps every live container's socket bound, however often the proxy is started anew."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import ContainersError, ProxyControl

ASK_AGAIN_S: Final = 0.02
"""Between two looks for a proxy that is away: a refused connection costs next to nothing."""

LOOK_AGAIN_S: Final = 5.0
"""Between two looks at a proxy that lives, for a socket that could not be bound before."""

log = structlog.get_logger(__name__)

Sleep = Callable[[float], Awaitable[None]]


class ProxyWatch:
    """Holds on to the proxy, and gives its successor every socket as soon as it answers."""

    def __init__(
        self,
        *,
        proxy: ProxyControl,
        orchestrator: Orchestrator,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        look_again_s: float = LOOK_AGAIN_S,
    ) -> None:
        """`clock` gives monotonic seconds; it is used for what is told, not for what is done."""
        self._proxy = proxy
        self._orchestrator = orchestrator
        self._clock = clock
        self._sleep = sleep
        self._look_again_s = look_again_s
        self._gone_at_s: float | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self.step()

    async def step(self) -> None:
        """See one proxy through to its end, or find that there is none now."""
        try:
            async with self._proxy.attached() as gone:
                await self._serve(gone)
        except ContainersError as error:
            if self._gone_at_s is None:
                self._gone_at_s = self._clock()
                log.warning("proxy_away", reason=str(error))
            await self._sleep(ASK_AGAIN_S)

    async def _serve(self, gone: Callable[[], Awaitable[None]]) -> None:
        is_gone = False
        while not is_gone:
            again = await self._orchestrator.rebind_lost(await self._proxy.bound_sockets())
            self._tell(len(again))
            try:
                async with asyncio.timeout(self._look_again_s):
                    await gone()
                is_gone = True
            except TimeoutError:
                continue
        self._gone_at_s = self._clock()
        log.warning("proxy_gone")

    def _tell(self, bound: int) -> None:
        gone_at_s, self._gone_at_s = self._gone_at_s, None
        if gone_at_s is not None:
            away_ms = round((self._clock() - gone_at_s) * 1000)
            log.info("proxy_back", bound_again=bound, away_ms=away_ms)
