"""Puts together what is seen of the containers from outside: their states, use and unsaved work."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from hakoiri.host.adapters.cgroups import Cgroups
from hakoiri.host.adapters.docker import DockerEngine
from hakoiri.host.container_fleet import Fleet
from hakoiri.host.containers.fleet_states import states_of
from hakoiri.host.containers.unsaved import UnsavedAges
from hakoiri.host.settings import Settings
from hakoiri.host.telemetry.health_metrics import HostPressure
from hakoiri.host.telemetry.metrics import ServerMetrics
from hakoiri.host.usage.figures import Usage
from hakoiri.host.usage.metrics import UsageMetrics
from hakoiri.host.usage.watch import Disks, UsageWatch
from hakoiri.host.usage.workspace_metrics import WorkspaceMetrics, WorkspaceUse


@dataclass(frozen=True, slots=True)
class FleetSight:
    """What is seen of one server's containers; `watch.run` keeps it new."""

    fleet: Fleet
    watch: UsageWatch
    unsaved: UnsavedAges

    def saved(self, workspace_id: str, began_s: float) -> None:
        """Say that a workspace was saved, and when that save began; forget those that are gone."""
        self.unsaved.saved(workspace_id, began_s=began_s)
        self.unsaved_ages_s()

    def unsaved_ages_s(self) -> list[float]:
        """Since when the files of workspaces in use are not saved."""
        return self.unsaved.look(self.fleet.orchestrator.members(), now_s=time.monotonic())

    def states(self) -> dict[str, int]:
        """How many containers are in which state."""
        orchestrator = self.fleet.orchestrator
        return states_of(
            orchestrator.members(),
            warm=self.fleet.keeper.sizes(),
            total=orchestrator.live_containers(),
        )

    def workspaces(self) -> list[WorkspaceUse]:
        """Return each workspace that has a container, with the newest look at that."""
        seen = {one.container_id: one for one in self.watch.fleet.containers}
        return [
            WorkspaceUse(
                member.workspace_id,
                is_busy=member.idle_since_s is None,
                usage=seen.get(member.container_id),
            )
            for member in self.fleet.orchestrator.members()
        ]

    async def workspace_page(self) -> str:
        """Return the figures of each workspace, in Prometheus's text format."""
        return WorkspaceMetrics(self.workspaces).render()

    async def usage_of(self, workspace_id: str) -> Usage | None:
        """Return what a workspace's container uses now; None if it has none."""
        live = self.fleet.orchestrator.live_in(workspace_id)
        return await self.watch.look_at(live.container.container_id) if live else None


def make_sight(
    settings: Settings,
    *,
    instance: str,
    fleet: Fleet,
    engine: DockerEngine,
    metrics: ServerMetrics,
) -> FleetSight:
    """Look at the fleet, and show its figures from now on."""

    def present() -> Mapping[str, Disks | None]:
        found: dict[str, Disks | None] = dict.fromkeys(fleet.lifecycle.in_hand())
        for member in fleet.orchestrator.members():
            if live := fleet.orchestrator.live_in(member.workspace_id):
                directories = live.container.directories
                found[member.container_id] = (directories.workspace, directories.home)
        return found

    async def engine_ids() -> Mapping[str, str]:
        return {one.container_id: one.engine_id for one in await engine.list_ours(instance)}

    watch = UsageWatch(
        present=present, engine_ids=engine_ids, read=Cgroups().read, clock=time.monotonic
    )
    sight = FleetSight(fleet, watch, UnsavedAges())
    metrics.containers.watch(sight.states)
    metrics.sync.watch_unsaved(sight.unsaved_ages_s)
    metrics.watch(UsageMetrics(lambda: watch.fleet))
    metrics.watch(HostPressure(data_dir=settings.data_dir))
    return sight
