"""How a live container goes: out of what is live at once, then from engine, proxy and database."""

from collections.abc import MutableMapping

import structlog

from hakoiri.host.containers.admission_gate import AdmissionGate
from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.live import Live
from hakoiri.host.containers.pool_keeper import PoolKeeper
from hakoiri.host.containers.ports import ClaimStore

log = structlog.get_logger(__name__)


class Removal:
    """Removes live containers; the caller holds the workspace's place."""

    def __init__(
        self,
        *,
        live: MutableMapping[str, Live],
        lifecycle: Lifecycle,
        claims: ClaimStore,
        pool: PoolKeeper,
        admission: AdmissionGate,
    ) -> None:
        """`live` is what the orchestrator has, by workspace."""
        self._live = live
        self._lifecycle = lifecycle
        self._claims = claims
        self._pool = pool
        self._admission = admission
        self.under_way = 0
        """So many are being removed, and have their places still."""

    async def of(self, live: Live, reason: str, *, is_replaced: bool = False) -> None:
        """Remove it, unless that was done; if it `is_replaced`, its place is kept."""
        if self._live.get(live.workspace_id) is not live:
            return
        del self._live[live.workspace_id]
        container_id = live.container.container_id
        log.info("container_retired", container=container_id, reason=reason)
        self.under_way += 1
        try:
            await self._lifecycle.stop(live.container)
        finally:
            self.under_way -= 1
            if is_replaced:
                self._admission.keep(live.workspace_id)
            try:
                await self._claims.release(container_id)
            finally:
                self._pool.wake()
                self._admission.changed()
