"""The end of a server, for its live containers: removed, or left for the next one to adopt."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from hakoiri.host.containers.live import Live

AT_ONCE: Final = 8


async def retire_saved(live: Mapping[str, Live], retire: Callable[[str], Awaitable[None]]) -> None:
    """Retire those, by workspace, whose files are saved; the others hold the only copy."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(workspace_id: str) -> None:
        async with places:
            await retire(workspace_id)

    async with asyncio.TaskGroup() as group:
        for workspace_id in [name for name, found in live.items() if not found.is_unsaved]:
            group.create_task(one(workspace_id), name=f"retire {workspace_id}")


async def close_agents(live: Mapping[str, Live]) -> None:
    """Close the connections to their agents, and touch nothing else."""
    for found in list(live.values()):
        if found.container.agent is not None:
            await found.container.agent.close()
