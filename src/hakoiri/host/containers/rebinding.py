"""Gives the sockets of live containers back to a proxy that was started anew."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from hakoiri.host.containers.live import Live, speaks_for
from hakoiri.host.containers.model import ContainerState
from hakoiri.host.containers.places import PlaceGuard
from hakoiri.host.containers.ports import ProxyControl, ProxyControlError

log = structlog.get_logger(__name__)


PATIENCE_S: Final = 5.0
"""For a workspace in which something goes on, a removal say: the next look sees to it again."""


class Rebinding:
    """Works on the orchestrator's live containers, each under its workspace's lock."""

    def __init__(
        self,
        *,
        proxy: ProxyControl,
        live: Mapping[str, Live],
        place: Callable[[str], PlaceGuard],
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`live` is read as it is at each call; `place` gives a workspace's lock."""
        self._proxy = proxy
        self._live = live
        self._place = place
        self._patience_s = patience_s

    async def of_lost(self, known: frozenset[str]) -> list[str]:
        """Bind again the sockets that are not `known`; return the containers bound again.

        All are bound at once, and one that cannot be holds up no other.
        """
        again: list[str] = []
        lost = [
            one
            for one in self._live.values()
            if one.container.container_id not in known and self._is_to_be_bound(one)
        ]
        async with asyncio.TaskGroup() as group:
            for live in lost:
                name = f"bind again {live.container.container_id}"
                group.create_task(self._bind_again(live, again), name=name)
        return again

    async def _bind_again(self, live: Live, again: list[str]) -> None:
        container_id = live.container.container_id
        try:
            async with (
                asyncio.timeout(self._patience_s) as patience,
                self._place(live.workspace_id),
            ):
                patience.reschedule(None)
                if not self._is_to_be_bound(live):
                    return
                await self._proxy.open_bound(container_id, **speaks_for(live, live.policy))
        except (ProxyControlError, TimeoutError) as error:
            reason = str(error) or "something else goes on in its workspace"
            log.warning("container_not_bound", container=container_id, reason=reason)
        else:
            again.append(container_id)

    def _is_to_be_bound(self, live: Live) -> bool:
        is_halted = live.container.state is ContainerState.HALTED
        return self._live.get(live.workspace_id) is live and not is_halted
