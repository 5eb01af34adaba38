"""How a workspace without a live container comes by one: from the warm pool, or started for it."""

from collections.abc import Callable

import structlog

from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.live import Ask, Live, live_of, speaks_for
from hakoiri.host.containers.model import ContainerState
from hakoiri.host.containers.pool_keeper import PoolKeeper, WarmContainer
from hakoiri.host.containers.ports import (
    AgentProtocolError,
    AgentUnreachableError,
    ClaimStore,
    PolicyRefusedError,
    ProxyControl,
    ProxyControlError,
)
from hakoiri.tracing.spans import carried
from hakoiri.wire.policy import Policy

log = structlog.get_logger(__name__)


class ClaimStart:
    """Gives a workspace a container, recorded and bound; what fails leaves nothing behind."""

    def __init__(
        self,
        *,
        lifecycle: Lifecycle,
        proxy: ProxyControl,
        claims: ClaimStore,
        pool: PoolKeeper,
        clock: Callable[[], float],
    ) -> None:
        """`clock` gives monotonic seconds."""
        self._lifecycle = lifecycle
        self._proxy = proxy
        self._claims = claims
        self._pool = pool
        self._clock = clock

    async def warm(self, ask: Ask) -> Live | None:
        """Return one that waited warm, whose place in the pool the caller settles; None if none.

        Raises `ContainersError`, or what `prepare` raises.
        """
        warm = await self._pool.take(ask.runtime, connected=not ask.restores)
        if warm is None:
            return None
        try:
            return await self._claim_warm(warm, ask)
        except (AgentUnreachableError, AgentProtocolError) as error:
            log.warning("warm_container_lost", reason=str(error))
            return None

    async def _claim_warm(self, warm: WarmContainer, ask: Ask) -> Live:
        """Record the claim, fill the directories and bind the socket; the engine is not called."""
        container = warm.container
        container_id = container.container_id
        try:
            generation = await self._claims.claim(
                container_id=container_id,
                workspace_id=ask.workspace_id,
                is_filled=not ask.restores,  # then there is nothing to wait for: one write, not two
            )
            if ask.restores:
                if warm.is_connected and container.agent is not None:
                    await container.agent.disconnect()
                await ask.prepare(container.directories)
                await self._claims.fill(container_id)
            live = live_of(container, ask, generation=generation, now_s=self._clock())
            await self.bind(live, ask.policy)
        except BaseException:
            self._pool.give_up(container_id, "its claim failed")
            await self._claims.release(container_id)
            raise
        container.advance(ContainerState.CLAIMED)
        return live

    async def cold(self, ask: Ask) -> Live:
        """Start one. Raises `ContainersError`, or what `prepare` raises."""
        container_id = self._lifecycle.new_container_id()
        try:
            generation = await self._claims.claim(
                container_id=container_id, workspace_id=ask.workspace_id
            )
            container = await self._lifecycle.start(
                container_id, prepare=ask.prepare, runtime=ask.runtime
            )
            live = live_of(container, ask, generation=generation, now_s=self._clock())
            try:
                await self._claims.fill(container_id)
                await self.bind(live, ask.policy)
            except BaseException:
                await self._lifecycle.stop(container)
                raise
        except BaseException:
            await self._claims.release(container_id)
            raise
        container.advance(ContainerState.CLAIMED)
        return live

    async def again(self, live: Live, ask: Ask) -> None:
        """Bind a live container's socket for another claim; raises as `bind` does."""
        live.traceparent = carried()
        await self.bind(live, ask.policy)

    async def bind(self, live: Live, policy: Policy) -> None:
        """Bind the container's socket; a newly started proxy is given the socket again first.

        Raises `ProxyControlError`.
        """
        owner = speaks_for(live, policy)
        container_id = live.container.container_id
        try:
            await self._proxy.bind(container_id, **owner)
        except PolicyRefusedError:
            raise
        except ProxyControlError:
            await self._proxy.open_bound(container_id, **owner)
        live.policy = policy
