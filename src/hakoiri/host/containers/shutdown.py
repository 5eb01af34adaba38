"""The end of a server, for its live containers: removed, or left for the next one to adopt."""

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol

from hakoiri.host.containers.live import Live

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
