"""An idle container's last save: what runs in it stops first, so that nothing is written after it.

Processes outlive the turn or command that began them, and write whenever they like. So what was
saved at a turn's end says little of what there is when the container goes.
"""

import asyncio
from typing import Final, Protocol

import structlog

from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.live import Live
from hakoiri.host.containers.model import ContainerDirectories, ContainerState
from hakoiri.host.containers.ports import ContainersError, EngineAwayError

SOMEBODY_WAITS_S: Final = 10.0
"""For the save of a container whose place, or whose workspace, somebody waits for."""

UNHURRIED_S: Final = 150.0
"""For any other: longer than a save gives itself."""

log = structlog.get_logger(__name__)


class Save(Protocol):
    """Commits a recovery point of a container's files."""

    async def __call__(
        self, workspace_id: str, *, generation: int, directories: ContainerDirectories
    ) -> bool:
        """Return whether that was done, or needless."""


class Saves:
    """`Save` that is known only once the rest of the server is put together."""

    def __init__(self) -> None:
        self.by: Save | None = None

    async def __call__(
        self, workspace_id: str, *, generation: int, directories: ContainerDirectories
    ) -> bool:
        """Save; what cannot be saved yet is not."""
        if self.by is None:
            return False
        return await self.by(workspace_id, generation=generation, directories=directories)


class LastSave:
    """Stops what runs in a container and saves its files."""

    def __init__(self, *, lifecycle: Lifecycle, save: Save) -> None:
        self._lifecycle = lifecycle
        self._save = save

    async def hold(self, live: Live) -> None:
        """Freeze it, or end what cannot be frozen; the caller holds the workspace's place.

        Raises `ContainersError` if it may run on.
        """
        container = live.container
        if container.state is not ContainerState.CLAIMED:
            return
        try:
            await self._lifecycle.freeze(container)
        except EngineAwayError:
            raise
        except ContainersError as error:  # it has ended, or its engine cannot freeze any
            log.info("container_ended", container=container.container_id, reason=str(error))
            await self.end(live)

    async def end(self, live: Live) -> None:
        """End all that runs in it, for good; the caller holds the workspace's place.

        Raises `ContainersError` if the engine does not say that it has ended.
        """
        await self._lifecycle.thaw(live.container)
        await self._lifecycle.halt(live.container)

    async def of(self, live: Live, *, limit_s: float) -> bool:
        """Save what it holds, once it holds still; whether all of it is in a recovery point."""
        try:
            async with asyncio.timeout(limit_s):
                return await self._save(
                    live.workspace_id,
                    generation=live.generation,
                    directories=live.container.directories,
                )
        except TimeoutError:
            log.warning(
                "workspace_not_saved",
                workspace=live.workspace_id,
                reason=f"the save took longer than {limit_s:g} s",
            )
            return False
