"""A workspace that holds still: its container is frozen, and nobody gets it meanwhile."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.live import Live
from hakoiri.host.containers.model import ContainerDirectories, ContainerState
from hakoiri.host.containers.ports import ContainersError, WorkspaceInUseError

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Still:
    """What holds still: a frozen container's directories and generation, None if none is live."""

    directories: ContainerDirectories | None = None
    generation: int | None = None
    is_given_up: bool = False
    """The container is to be removed afterwards, and not to run again."""

    def give_up(self) -> None:
        """Let the container go: from now on it may no longer be what the workspace is."""
        self.is_given_up = True

    def keep(self) -> None:
        """Let the container live on after all, as if nothing had been."""
        self.is_given_up = False


@asynccontextmanager
async def hold_still(lifecycle: Lifecycle, live: Live | None) -> AsyncIterator[Still]:
    """Freeze the container; thaw it afterwards, unless it was frozen before or is given up.

    The caller holds the workspace's place. Raises `WorkspaceInUseError` if anybody uses the
    container, `ContainersError` if it cannot be frozen.
    """
    if live is None:
        yield Still()
        return
    if live.holders:
        raise WorkspaceInUseError(
            "a turn, a command or a save uses the workspace; wait for its end and try again"
        )
    container = live.container
    is_frozen_here = container.state is ContainerState.CLAIMED
    if is_frozen_here:
        await lifecycle.freeze(container)
    still = Still(container.directories, live.generation)
    try:
        yield still
    finally:
        if is_frozen_here and not still.is_given_up:
            try:
                await lifecycle.thaw(container)
            except ContainersError as error:  # whoever claims it next thaws it
                log.warning(
                    "container_not_thawed", container=container.container_id, reason=str(error)
                )


async def freeze_if_idle(live: Live | None, lifecycle: Lifecycle) -> None:
    """Freeze a container that nobody uses; one that cannot be frozen runs on."""
    if live is None or live.idle_since_s is None:
        return
    container = live.container
    if container.state is not ContainerState.CLAIMED:
        return
    try:
        await lifecycle.freeze(container)
    except ContainersError as error:
        log.warning("container_not_frozen", container=container.container_id, reason=str(error))
