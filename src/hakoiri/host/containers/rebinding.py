"""Sockets that a proxy which was started again does not know are bound again."""

import asyncio
from collections.abc import Callable, Mapping

import structlog

from hakoiri.host.containers.live import Live, speaks_for
from hakoiri.host.containers.model import ContainerState
from hakoiri.host.containers.places import PlaceGuard
from hakoiri.host.containers.ports import ProxyControl, ProxyControlError

log = structlog.get_logger(__name__)


async def rebind_lost(
    live: Mapping[str, Live],
    *,
    known: frozenset[str],
    proxy: ProxyControl,
    place: Callable[[str], PlaceGuard],
) -> list[str]:
    """Bind those of the live containers, by workspace, that are not `known`; return their ids.

    All are bound at once, each under its workspace's lock, and one that cannot be holds up no
    other.
    """
    again: list[str] = []

    async def bind(one: Live) -> None:
        container_id = one.container.container_id
        async with place(one.workspace_id):
            if live.get(one.workspace_id) is not one:
                return
            try:
                await proxy.open_bound(container_id, **speaks_for(one, one.policy))
            except ProxyControlError as error:
                log.warning("container_not_bound", container=container_id, reason=str(error))
            else:
                again.append(container_id)

    async with asyncio.TaskGroup() as group:
        for one in list(live.values()):
            is_lost = one.container.state is ContainerState.HALTED
            if is_lost or one.container.container_id in known:
                continue
            group.create_task(bind(one), name=f"bind again {one.container.container_id}")
    return again
