"""The garbage collector: freezes what idles, removes what is not needed, one step at a time.

What goes and what is frozen is decided in `gc`. A container that holds the only copy of files is
saved before it goes, and kept as long as that fails.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from hakoiri.host.containers.gc import Due, GcLimits, Member, Reason, due, strays, to_freeze
from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.model import ContainerDirectories
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import ContainersError

STEP_EVERY_S: Final = 5.0
LOOK_EVERY_STEPS: Final = 6
"""Engine, guard and proxy are asked what there is in every so many steps only."""

STRAYS_AT_ONCE: Final = 20
"""Removed in one step at most, so that a step is bounded."""

log = structlog.get_logger(__name__)

Sleep = Callable[[float], Awaitable[None]]


class Save(Protocol):
    """Commits a recovery point of a container's files."""

    async def __call__(
        self, workspace_id: str, *, generation: int, directories: ContainerDirectories
    ) -> bool:
        """Return whether that was done, or needless."""


class Tell(Protocol):
    """Counts what the collector does."""

    def removed(self, reason: str) -> None:
        """A container was removed."""

    def kept_unsaved(self) -> None:
        """One was kept that should go, because its files could not be saved."""

    def collecting_failed(self) -> None:
        """A round was given up; what it left is done in a later one."""


class Collector:
    """One collector a server."""

    def __init__(
        self,
        *,
        orchestrator: Orchestrator,
        lifecycle: Lifecycle,
        save: Save,
        tell: Tell,
        limits: GcLimits,
        clock: Callable[[], float],
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`clock` is the orchestrator's."""
        self._orchestrator = orchestrator
        self._lifecycle = lifecycle
        self._save = save
        self._tell = tell
        self._limits = limits
        self._clock = clock
        self._sleep = sleep
        self._first_seen: dict[str, float] = {}

    async def run(self) -> None:
        """Collect until cancelled."""
        steps = 0
        while True:
            await self._sleep(STEP_EVERY_S)
            steps += 1
            try:
                await self.step(looks=steps % LOOK_EVERY_STEPS == 0)
            except ContainersError as error:  # also the database's
                self._tell.collecting_failed()
                log.warning("collecting_failed", reason=str(error))

    async def step(self, *, looks: bool) -> None:
        """Do one round; if it `looks`, dead and stray containers are found too.

        Raises `ContainersError`; what was not done then is done in a later step.
        """
        await self._orchestrator.settle_claims()
        running = await self._running() if looks else None
        members = self._orchestrator.members()
        for one in due(members, running=running, now_s=self._clock(), limits=self._limits):
            await self._remove(one)
        for member in to_freeze(
            self._orchestrator.members(), now_s=self._clock(), limits=self._limits
        ):
            await self._orchestrator.freeze(member.workspace_id, container_id=member.container_id)
        if looks:
            await self._remove_strays()

    async def _running(self) -> frozenset[str]:
        """Return the live containers that run, as far as the engine knows.

        One that became live while the engine was asked is not in its answer, and runs all the same.
        """
        before = self._live_ids()
        running = frozenset(await self._lifecycle.running())
        return running | (self._live_ids() - before)

    def _live_ids(self) -> frozenset[str]:
        return frozenset(member.container_id for member in self._orchestrator.members())

    async def _remove(self, one: Due) -> None:
        member = one.member
        if member.is_unsaved and not await self._is_saved(member):
            self._tell.kept_unsaved()
            log.warning(
                "container_kept",
                workspace=member.workspace_id,
                container=member.container_id,
                reason="its files are not saved",
            )
            return
        if await self._orchestrator.retire_if_idle(
            member.workspace_id, one.reason, container_id=member.container_id
        ):
            self._tell.removed(one.reason)

    async def _is_saved(self, member: Member) -> bool:
        live = self._orchestrator.live_in(member.workspace_id, member.container_id)
        if live is None:
            return True
        is_saved = await self._save(
            member.workspace_id,
            generation=live.generation,
            directories=live.container.directories,
        )
        # a turn that ran meanwhile has had a save of its own, which counts
        if is_saved and live.idle_since_s == member.idle_since_s:
            live.is_unsaved = False
        return is_saved

    async def _remove_strays(self) -> None:
        found, self._first_seen = strays(
            await self._lifecycle.present(),
            owned=self._lifecycle.in_hand(),
            first_seen=self._first_seen,
            now_s=self._clock(),
            limits=self._limits,
        )
        for container_id in found[:STRAYS_AT_ONCE]:
            log.warning("stray_container", container=container_id)
            await self._orchestrator.remove_stray(container_id)
            self._tell.removed(Reason.STRAY)
