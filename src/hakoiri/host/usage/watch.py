"""Looks at what each container uses, again and again, and on demand at one of them.

The kernel's files are read in a thread; the engine is asked only when a container is new.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from hakoiri.host.containers.ports import ContainersError
from hakoiri.host.files.ports import FilesError
from hakoiri.host.files.quota import TreeUse
from hakoiri.host.usage.figures import CgroupFigures, Usage, cores_between

STEP_EVERY_S: Final = 10.0

log = structlog.get_logger(__name__)

Disks = tuple[Path, Path]
"""Where a container's workspace and home are seen on this host."""

Present = Callable[[], Mapping[str, Disks | None]]
"""Gives all containers in the server's hands, with their disks if they are a workspace's."""

EngineIds = Callable[[], Awaitable[Mapping[str, str]]]
"""Asks the engine for its own ids of our containers; raises `ContainersError`."""

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class FleetUsage:
    """The newest look at all, and what was used since the server began to look."""

    containers: tuple[Usage, ...] = ()
    cpu_seconds: float = 0.0
    oom_kills: int = 0


class UsageWatch:
    """One watch a server."""

    def __init__(
        self,
        *,
        present: Present,
        engine_ids: EngineIds,
        read: Callable[[str], CgroupFigures | None],
        clock: Callable[[], float],
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`read` gives the kernel's figures by the engine's id; `clock` gives monotonic seconds."""
        self._present = present
        self._engine_ids = engine_ids
        self._read = read
        self._clock = clock
        self._sleep = sleep
        self._known: dict[str, str] = {}
        self._latest: dict[str, Usage] = {}
        self._looks = 0
        self.fleet = FleetUsage()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.step()
            await self._sleep(STEP_EVERY_S)

    async def step(self) -> None:
        """Look once at all; containers that cannot be looked at are left out."""
        present = dict(self._present())
        await self._learn(present)
        at_s = self._clock()
        wanted = {one: self._known[one] for one in present if one in self._known}
        found = await asyncio.to_thread(self._look, wanted, present)
        is_first, self._looks = self._looks == 0, self._looks + 1
        cpu_seconds, oom_kills = self.fleet.cpu_seconds, self.fleet.oom_kills
        latest: dict[str, Usage] = {}
        for container_id, (figures, disk) in found.items():
            before = self._latest.get(container_id)
            if before is not None:
                cpu_seconds += max(0.0, figures.cpu_seconds - before.figures.cpu_seconds)
                oom_kills += max(0, figures.oom_kills - before.figures.oom_kills)
            elif not is_first:  # started since; what adopted ones used before is not ours to count
                cpu_seconds += figures.cpu_seconds
                oom_kills += figures.oom_kills
            latest[container_id] = _usage(container_id, figures, disk, before, at_s)
        self._latest = latest
        self.fleet = FleetUsage(tuple(latest.values()), cpu_seconds, oom_kills)

    async def look_at(self, container_id: str) -> Usage | None:
        """Return what one container uses now; None if it is gone or cannot be looked at."""
        present = self._present()
        if container_id not in present:
            return None
        one = {container_id: present[container_id]}
        await self._learn(one)
        if container_id not in self._known:
            return None
        at_s = self._clock()
        wanted = {container_id: self._known[container_id]}
        found = (await asyncio.to_thread(self._look, wanted, one)).get(container_id)
        if found is None:
            return None
        return _usage(container_id, *found, self._latest.get(container_id), at_s)

    async def _learn(self, present: Mapping[str, Disks | None]) -> None:
        """Ask the engine for ids that are not known, and forget those of containers that went."""
        if all(one in self._known for one in present):
            return
        try:
            told = await self._engine_ids()
        except ContainersError as error:
            log.info("usage_not_seen", reason=str(error))
            return
        here = self._present()
        self._known = {one: engine_id for one, engine_id in told.items() if one in here}

    def _look(
        self, wanted: Mapping[str, str], present: Mapping[str, Disks | None]
    ) -> dict[str, tuple[CgroupFigures, TreeUse | None]]:
        """Read the figures of many; in a thread."""
        found = {}
        for container_id, engine_id in wanted.items():
            figures = self._read(engine_id)
            if figures is None:
                continue
            disk = None
            if disks := present[container_id]:
                with suppress(FilesError):
                    disk = TreeUse.of(workspace=disks[0], home=disks[1])
            found[container_id] = (figures, disk)
        return found


def _usage(
    container_id: str,
    figures: CgroupFigures,
    disk: TreeUse | None,
    before: Usage | None,
    at_s: float,
) -> Usage:
    cores = cores_between(before, figures, at_s=at_s)
    return Usage(container_id, figures, at_s, cpu_cores=cores, disk=disk)
