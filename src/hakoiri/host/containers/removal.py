"""How a live container goes: out of what is live at once, then from engine, proxy and database.

What a claim finds in its way is removed behind it, by a task of ours: an engine that hangs costs a
minute and more at each step.
"""

import asyncio
from collections.abc import MutableMapping
from typing import Final

import structlog

from hakoiri.host.containers.admission_gate import AdmissionGate
from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.live import Live
from hakoiri.host.containers.pool_keeper import PoolKeeper
from hakoiri.host.containers.ports import ClaimStore, ProxyControl

AT_ONCE: Final = 8
"""So many are removed behind claims at a time; the others wait, and keep their places."""

SETTLE_TIMEOUT_S: Final = 5.0
"""At the server's end, for those that are being removed; what is late is swept, or is the next
server's to remove, as it has no claim."""

log = structlog.get_logger(__name__)


class Removal:
    """Removes live containers; the caller holds the workspace's place."""

    def __init__(
        self,
        *,
        live: MutableMapping[str, Live],
        lifecycle: Lifecycle,
        proxy: ProxyControl,
        claims: ClaimStore,
        pool: PoolKeeper,
        admission: AdmissionGate,
    ) -> None:
        """`live` is what the orchestrator has, by workspace."""
        self._live = live
        self._lifecycle = lifecycle
        self._proxy = proxy
        self._claims = claims
        self._pool = pool
        self._admission = admission
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._going: dict[asyncio.Task[None], str] = {}
        self._heirs: set[str] = set()
        self.under_way = 0
        """So many are being removed, and have their places still."""

    async def of(self, live: Live, reason: str, *, is_replaced: bool = False) -> None:
        """Remove it, unless that was done; if it `is_replaced`, behind the claim of another.

        Then its files have to be saved. When this returns its way out is cut and its claim given
        back; its place goes to the workspace's claim once it is gone, or is kept for it. Raises
        `ProxyControlError`, which leaves it as it was.
        """
        if is_replaced:
            await self._behind(live, reason)
            return
        if not self._take_out(live, reason):
            return
        try:
            await self._lifecycle.stop(live.container)
        finally:
            self.under_way -= 1
            try:
                await self._claims.release(live.container.container_id)
            finally:
                self._pool.wake()
                self._admission.changed()

    def is_replacing(self, workspace_id: str) -> bool:
        """Whether a container of the workspace is being removed behind a claim."""
        return workspace_id in self._going.values()

    def disinherit(self, workspace_id: str) -> None:
        """Say that no claim of the workspace needs the place of what is removed behind it."""
        self._heirs.discard(workspace_id)

    async def settle(self) -> None:
        """Wait for what is removed behind claims, and give up what takes too long."""
        if not self._going:
            return
        _, late = await asyncio.wait(list(self._going), timeout=SETTLE_TIMEOUT_S)
        for task in late:
            task.cancel()
        if late:
            log.warning("removals_given_up", count=len(late))
            await asyncio.wait(late)

    async def _behind(self, live: Live, reason: str) -> None:
        if self._live.get(live.workspace_id) is not live:
            return
        await self._proxy.close_socket(live.container.container_id)
        if not self._take_out(live, reason):
            return
        self._heirs.add(live.workspace_id)
        task = asyncio.get_running_loop().create_task(
            self._remove(live), name=f"remove {live.container.container_id}"
        )
        self._going[task] = live.workspace_id
        task.add_done_callback(self._going.pop)
        await self._claims.release(live.container.container_id)

    def _take_out(self, live: Live, reason: str) -> bool:
        """Take it out of what is live, to be removed; False if that was done before."""
        if self._live.get(live.workspace_id) is not live:
            return False
        del self._live[live.workspace_id]
        log.info("container_retired", container=live.container.container_id, reason=reason)
        self.under_way += 1
        return True

    async def _remove(self, live: Live) -> None:
        try:
            async with self._slots:
                await self._lifecycle.stop(live.container)
        except Exception:
            log.exception("container_not_removed", container=live.container.container_id)
        finally:
            self.under_way -= 1
            if live.workspace_id in self._heirs:
                self._heirs.discard(live.workspace_id)
                self._admission.hand_down(live.workspace_id)
            self._pool.wake()
            self._admission.changed()
