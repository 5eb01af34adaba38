from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hakoiri.host.containers.ports import EngineError
from hakoiri.host.usage.figures import CgroupFigures
from hakoiri.host.usage.watch import Disks, UsageWatch

pytestmark = pytest.mark.anyio


def counted(cpu_seconds: float, oom_kills: int = 0) -> CgroupFigures:
    return CgroupFigures(cpu_seconds, 1000, 2000, 3, 10, oom_kills)


@dataclass
class World:
    containers: dict[str, Disks | None] = field(default_factory=dict)
    kernel: dict[str, CgroupFigures] = field(default_factory=dict)
    now_s: float = 0.0
    asked: int = 0
    is_away: bool = False

    def __post_init__(self) -> None:
        self.watch = UsageWatch(
            present=lambda: self.containers,
            engine_ids=self._engine_ids,
            read=self.kernel.get,
            clock=lambda: self.now_s,
        )

    async def _engine_ids(self) -> Mapping[str, str]:
        self.asked += 1
        if self.is_away:
            raise EngineError("away")
        return {one: f"engine-{one}" for one in [*self.containers, "somebody-elses"]}

    def counts(self, container: str, cpu_seconds: float, *, oom_kills: int = 0) -> None:
        self.containers.setdefault(container, None)
        self.kernel[f"engine-{container}"] = counted(cpu_seconds, oom_kills)

    async def step(self, now_s: float) -> None:
        self.now_s = now_s
        await self.watch.step()


async def test_processor_time_adds_up_over_containers_that_come_and_go() -> None:
    world = World()
    world.counts("adopted", 1000, oom_kills=5)
    await world.step(0)
    assert world.watch.fleet.cpu_seconds == 0, "what it used before is not ours to count"
    world.counts("adopted", 1003, oom_kills=6)
    world.counts("new", 2)
    await world.step(10)
    assert (world.watch.fleet.cpu_seconds, world.watch.fleet.oom_kills) == (5, 1)
    assert [one.cpu_cores for one in world.watch.fleet.containers] == [0.3, None]
    del world.containers["adopted"]
    world.counts("new", 3)
    await world.step(20)
    assert world.watch.fleet.cpu_seconds == 6, "who is gone takes nothing away"
    assert [one.container_id for one in world.watch.fleet.containers] == ["new"]


async def test_the_engine_is_asked_only_when_a_container_is_new() -> None:
    world = World()
    world.counts("c1", 1)
    for now_s in (0, 10, 20):
        await world.step(now_s)
    assert world.asked == 1
    world.counts("c2", 1)
    await world.step(30)
    assert world.asked == 2


async def test_an_engine_that_is_away_costs_the_new_ones_alone() -> None:
    world = World()
    world.counts("c1", 1)
    await world.step(0)
    world.is_away = True
    world.counts("c2", 1)
    await world.step(10)
    assert [one.container_id for one in world.watch.fleet.containers] == ["c1"]


async def test_one_is_looked_at_on_demand_with_its_disks(tmp_path: Path) -> None:
    world = World()
    world.counts("c1", 4)
    world.containers["c1"] = (tmp_path, tmp_path)
    await world.step(0)
    world.counts("c1", 6)
    world.now_s = 4
    found = await world.watch.look_at("c1")
    assert found is not None
    assert found.cpu_cores == 0.5
    assert found.disk is not None
    assert found.disk.workspace.quota_bytes > 0
    assert await world.watch.look_at("c2") is None
    del world.kernel["engine-c1"]
    assert await world.watch.look_at("c1") is None


async def test_disks_that_are_just_taken_away_leave_the_rest(tmp_path: Path) -> None:
    world = World()
    world.counts("c1", 4)
    world.containers["c1"] = (tmp_path / "gone", tmp_path / "gone")
    await world.step(0)
    (found,) = world.watch.fleet.containers
    assert (found.disk, found.disk_bytes) == (None, 0)
