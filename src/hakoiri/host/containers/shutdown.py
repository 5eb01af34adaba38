"""The end of a server, for its containers: removed, left for the next to adopt, or swept."""

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol

from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.live import Live
from hakoiri.host.containers.ports import ClaimStore

AT_ONCE: Final = 8


class Retire(Protocol):
    """Removes one container."""

    async def __call__(self, workspace_id: str, *, reason: str, container_id: str) -> None:
        """Remove it if it is the workspace's still."""


async def retire_saved(live: Mapping[str, Live], retire: Retire) -> None:
    """Retire those, by workspace, whose files are saved; the others hold the only copy."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(found: Live) -> None:
        async with places:
            container_id = found.container.container_id
            await retire(found.workspace_id, reason="shutdown", container_id=container_id)

    async with asyncio.TaskGroup() as group:
        for found in list(live.values()):
            if not found.is_unsaved:
                group.create_task(one(found), name=f"retire {found.workspace_id}")


async def close_agents(live: Mapping[str, Live]) -> None:
    """Close the connections to their agents, and touch nothing else."""
    for found in list(live.values()):
        if found.container.agent is not None:
            await found.container.agent.close()


async def sweep_all_but(
    live: Mapping[str, Live], *, warm: frozenset[str], lifecycle: Lifecycle, claims: ClaimStore
) -> list[str]:
    """Remove all of our instance that is neither live nor warm, and its claims; return what it was.

    `warm` are ids of containers.
    """
    used = frozenset(found.container.container_id for found in live.values())
    gone = await lifecycle.sweep(keep=used | warm)
    for record in await claims.claimed():
        if record.container_id not in used:
            await claims.release(record.container_id)
    return gone
