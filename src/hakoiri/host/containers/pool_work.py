"""What is done with one warm container: it is started, asked how it is, removed."""

import asyncio
from typing import Final

import structlog

from hakoiri.host.containers.lifecycle import Lifecycle, StartedContainer
from hakoiri.host.containers.model import ContainerDirectories
from hakoiri.wire.agent import AgentOptions
from hakoiri.wire.messages import Runtime

log = structlog.get_logger(__name__)

PROBE_TIMEOUT_S: Final = 0.5
"""A healthy agent answers within 5 ms; one that takes longer than this is not handed out."""


class PoolWork:
    """Starts and removes members through the lifecycle. Errors are `ContainersError`."""

    def __init__(self, *, lifecycle: Lifecycle, connect_options: AgentOptions) -> None:
        """`connect_options` are those that an agent's own process is started with."""
        self._lifecycle = lifecycle
        self._connect_options = connect_options

    async def start(
        self, container_id: str, *, runtime: Runtime, connects: bool
    ) -> StartedContainer:
        """Start a container, with the agent's own process if it `connects`; return it healthy.

        A start that fails leaves nothing behind.
        """
        container = await self._lifecycle.start(
            container_id, prepare=_nothing, runtime=runtime, kind="warm"
        )
        try:
            if connects and container.agent is not None:
                await container.agent.connect(self._connect_options)
        except BaseException:
            await self._lifecycle.stop(container)
            raise
        return container

    async def remove(self, container_id: str, container: StartedContainer | None) -> None:
        """Stop it and remove all that is its own; without `container`, what is left of it."""
        if container is not None:
            await self._lifecycle.stop(container)
        else:
            await self._lifecycle.discard(container_id)


async def is_well(container: StartedContainer) -> bool:
    """Whether its agent answers soon, and that it has nothing to do."""
    if container.agent is None:
        return False
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            return (await container.agent.health()).state == "ready"
    except Exception as error:  # noqa: BLE001 - whatever it did, nobody is to get it
        log.info("warm_container_unwell", container=container.container_id, reason=str(error))
        return False


async def _nothing(_: ContainerDirectories) -> None:
    """Leave the directories as they were made: they are filled when the container has an owner."""
