"""Gives the sockets of live containers back to a proxy that was started anew."""

import asyncio
from collections.abc import Callable, Mapping

import structlog

from hakoiri.host.containers.live import Live, speaks_for
from hakoiri.host.containers.model import ContainerState
from hakoiri.host.containers.places import PlaceGuard
from hakoiri.host.containers.ports import ProxyControl, ProxyControlError

log = structlog.get_logger(__name__)


class Rebinding:
    """Works on the orchestrator's live containers, each under its workspace's lock."""

    def __init__(
        self,
        *,
        proxy: ProxyControl,
        live: Mapping[str, Live],
        place: Callable[[str], PlaceGuard],
    ) -> None:
        """`live` is read as it is at each call; `place` gives a workspace's lock."""
        self._proxy = proxy
        self._live = live
        self._place = place

    async def of_lost(self, known: frozenset[str]) -> list[str]:
        """Bind again the sockets that are not `known`; return the containers bound again.

        All are bound at once, and one that cannot be holds up no other.
        """
        again: list[str] = []
        lost = [
            one
            for one in self._live.values()
            if one.container.container_id not in known
            and one.container.state is not ContainerState.HALTED
        ]
        async with asyncio.TaskGroup() as group:
            for live in lost:
                name = f"bind again {live.container.container_id}"
                group.create_task(self._bind_again(live, again), name=name)
        return again

    async def _bind_again(self, live: Live, again: list[str]) -> None:
        container_id = live.container.container_id
        async with self._place(live.workspace_id):
            if self._live.get(live.workspace_id) is not live:
                return
            try:
                await self._proxy.open_bound(container_id, **speaks_for(live, live.policy))
            except ProxyControlError as error:
                log.warning("container_not_bound", container=container_id, reason=str(error))
            else:
                again.append(container_id)
