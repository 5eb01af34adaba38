"""Has old images taken away, now and then. Which are old is the docker guard's to say."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from hakoiri.host.containers.ports import ContainerEngine, ContainersError

EVERY_S: Final = 6 * 3600.0
"""Also how often this server's image is marked as used: far more often than one is kept."""

log = structlog.get_logger(__name__)

Sleep = Callable[[float], Awaitable[None]]


class Tell(Protocol):
    """Counts what is done."""

    def images_removed(self, count: int) -> None:
        """So many went."""

    def collecting_failed(self) -> None:
        """A round was given up; a later one does it."""


class ImageKeeper:
    """One a server."""

    def __init__(
        self, *, engine: ContainerEngine, tell: Tell, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._engine = engine
        self._tell = tell
        self._sleep = sleep

    async def run(self) -> None:
        """Do it at once, and again until cancelled."""
        while True:
            await self.step()
            await self._sleep(EVERY_S)

    async def step(self) -> None:
        """Do it once; what fails is told, and done later."""
        try:
            collected = await self._engine.collect_images()
        except ContainersError as error:
            self._tell.collecting_failed()
            log.warning("collecting_failed", step="take away old images", reason=str(error))
            return
        self._tell.images_removed(len(collected.removed))
        for image in collected.removed:
            log.info("image_removed", image=image)
        if collected.trouble is not None:
            log.warning("images_not_collected", reason=collected.trouble)
