"""What an earlier server left: containers that live are taken over, the rest is cleared away.

The engine says which containers of ours there are, the database whose they are. A container that
runs, answers and has an owner is adopted as it is, whatever it does. Of one that does not, the
files are saved before it goes; if they cannot be, it is kept for the collector to save.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

import structlog

from hakoiri.host.containers.lifecycle import Lifecycle, StartedContainer
from hakoiri.host.containers.live import Live
from hakoiri.host.containers.model import ContainerDirectories
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import (
    ChatSockets,
    ClaimRecord,
    ClaimStore,
    ContainersError,
    Owner,
)
from hakoiri.wire.messages import Runtime

AT_ONCE: Final = 8
RESCUE_ATTEMPTS: Final = 3
RESCUE_PAUSE_S: Final = 1.0

log = structlog.get_logger(__name__)


class Owners(Protocol):
    """Whose workspaces are whose, and how their files are saved."""

    async def owner(self, workspace_id: str) -> Owner | None:
        """Return the workspace's owner; None if it has none that may use it now."""

    async def save(
        self, workspace_id: str, *, generation: int, directories: ContainerDirectories
    ) -> bool:
        """Commit a recovery point of a container's files; whether that was done, or needless."""


@dataclass(slots=True)
class Adopted:
    """What became of the containers of an earlier server, by container id."""

    adopted: list[str] = field(default_factory=list)
    saved: list[str] = field(default_factory=list)
    unsaved: list[str] = field(default_factory=list)
    removed: Sequence[str] = ()
    chats: int = 0
    """So many sockets of its chat turns were closed."""


class Adoption:
    """Done once, before anything is served."""

    def __init__(
        self,
        *,
        orchestrator: Orchestrator,
        lifecycle: Lifecycle,
        claims: ClaimStore,
        owners: Owners,
        chats: ChatSockets,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`clock` is the orchestrator's, `now` tells what time it is (aware)."""
        self._orchestrator = orchestrator
        self._lifecycle = lifecycle
        self._claims = claims
        self._owners = owners
        self._chats = chats
        self._clock = clock
        self._now = now
        self._sleep = sleep

    async def run(self) -> Adopted:
        """Adopt what lives, save what does not, remove all that is left.

        Raises `ContainersError` where engine or database do not answer.
        """
        told = Adopted()
        running = await self._lifecycle.running()
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(record: ClaimRecord) -> None:
            async with slots:
                await self._take(record, told, runtime=running.get(record.container_id))

        async with asyncio.TaskGroup() as group:
            for record in await self._claims.claimed():
                group.create_task(one(record), name=f"adopt {record.container_id}")
        told.removed = await self._orchestrator.sweep()
        told.chats = await self._close_chats()
        log.info(
            "containers_of_an_earlier_server",
            adopted=len(told.adopted),
            saved=len(told.saved),
            unsaved=told.unsaved,
            removed=len(told.removed),
            chats=told.chats,
        )
        return told

    async def _close_chats(self) -> int:
        """Close the sockets of chat turns that ended with their server."""
        try:
            return await self._chats.close_left_over()
        except ContainersError as error:  # the collector does it when the proxy is back
            log.warning("chats_not_closed", reason=str(error))
            return 0

    async def _take(self, record: ClaimRecord, told: Adopted, *, runtime: Runtime | None) -> None:
        """See to one container; without a runtime it does not run any more.

        One whose files were still being brought back has nothing of its own, and less than the
        recovery point: it is neither adopted nor saved.
        """
        if not record.is_filled:
            return
        container_id = record.container_id
        owner = await self._owners.owner(record.workspace_id)
        if owner and runtime and await self._adopt(record, owner, runtime):
            told.adopted.append(container_id)
            return
        directories = await self._lifecycle.directories_of(container_id)
        if owner is None or directories is None:
            return
        if await self._rescue(record, directories):
            told.saved.append(container_id)
            return
        told.unsaved.append(container_id)
        container = self._lifecycle.keep_lost(container_id, directories)
        # under which runtime it ran matters no more
        lost = self._live(record, owner, container, runtime=runtime or "runc")
        await self._orchestrator.adopt(lost)

    async def _adopt(self, record: ClaimRecord, owner: Owner, runtime: Runtime) -> bool:
        """Take the container over; whether that was possible."""
        container: StartedContainer | None = None
        try:
            container = await self._lifecycle.adopt(record.container_id)
            await self._orchestrator.adopt(self._live(record, owner, container, runtime=runtime))
        except ContainersError as error:
            log.warning("not_adopted", container=record.container_id, reason=str(error))
            if container is not None and container.agent is not None:
                await container.agent.close()
            return False
        return True

    def _live(
        self, record: ClaimRecord, owner: Owner, container: StartedContainer, *, runtime: Runtime
    ) -> Live:
        # a clock that was set back makes nothing younger than it is by more than that
        age_s = max(0.0, (self._now() - record.created_at).total_seconds())
        return Live(
            container=container,
            workspace_id=record.workspace_id,
            tenant=owner.tenant,
            generation=record.generation,
            policy=owner.policy,
            runtime=runtime,
            started_at_s=self._clock() - age_s,
            idle_since_s=self._clock(),
            # what was written since the last save, by a command say, nobody here knows
            is_unsaved=True,
        )

    async def _rescue(self, record: ClaimRecord, directories: ContainerDirectories) -> bool:
        """Save a dead container's files; it has ended before they are read."""
        try:
            await self._lifecycle.kill(record.container_id)
        except ContainersError as error:
            log.warning("not_ended", container=record.container_id, reason=str(error))
        for attempt in range(RESCUE_ATTEMPTS):
            await self._sleep(RESCUE_PAUSE_S * attempt)
            if await self._owners.save(
                record.workspace_id, generation=record.generation, directories=directories
            ):
                return True
        log.error("files_not_saved", workspace=record.workspace_id, container=record.container_id)
        return False
