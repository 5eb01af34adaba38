"""The gate is told of the host, in order: no refills, no warm containers, then claims wait."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog
from anyio.lowlevel import checkpoint
from tests.unit.host.containers.fleet import Fleet

from hakoiri.host.containers.capacity import Level, Need, Threshold, Thresholds
from hakoiri.host.containers.host_reading import HostReading
from hakoiri.host.containers.host_watch import HostLimits, HostWatch

pytestmark = pytest.mark.anyio

GIB = 1024**3
LIMITS = HostLimits(
    configured=10,
    need=Need(memory_bytes=GIB, reserve_bytes=GIB, pids=100),
    thresholds=Thresholds(
        {
            Level.HOLD: Threshold(10, 15),
            Level.DRAIN: Threshold(20, 10),
            Level.WAIT: Threshold(40, 5),
        },
        pressure_below=30,
    ),
    calm_s=10,
)


class Enough(Exception):  # noqa: N818 - ends the loop
    """The loop ran as often as it should."""


@dataclass
class Host:
    root: Path
    now: HostReading = field(default_factory=lambda: HostReading(64 * GIB, 60 * GIB, 0.0, 10**6))
    woken: list[Level] = field(default_factory=list)
    reads: int = 0
    sleeps: int = 0

    def __post_init__(self) -> None:
        self.fleet = Fleet(self.root / "live", limit=10, queue=5)
        self.orchestrator = self.fleet.orchestrator()
        self.gate = self.orchestrator.admission
        self.watch = HostWatch(
            read=self.read,
            gate=self.gate,
            limits=LIMITS,
            level_changed=lambda: self.woken.append(self.gate.level),
            clock=lambda: self.fleet.now_s,
            sleep=self.sleep,
        )

    def read(self) -> HostReading:
        self.reads += 1
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        self.fleet.now_s += seconds
        await checkpoint()
        if self.sleeps > 3:
            raise Enough

    def step(self, now: HostReading) -> None:
        self.now = now
        self.watch.step()


async def test_a_host_with_plenty_bears_what_is_configured(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.watch.step()
    assert host.gate.free() == 10
    assert (host.gate.level, host.woken) == (Level.CALM, [])


async def test_a_smaller_host_bears_fewer_and_says_what_bounds_it_once(tmp_path: Path) -> None:
    host = Host(tmp_path)
    with structlog.testing.capture_logs() as logs:
        for available in (60, 59):
            host.step(HostReading(4 * GIB, available * GIB, 0.0, 10**6))
    assert host.gate.free() == 3
    assert [(one["slots"], one["bound"]) for one in logs if one["event"] == "container_slots"] == [
        (3, "memory")
    ]


async def test_a_shortage_wakes_the_pool_at_every_level_and_nothing_else_does(
    tmp_path: Path,
) -> None:
    host = Host(tmp_path)
    for pressure in (0.0, 12.0, 13.0, 25.0, 50.0):
        host.step(HostReading(64 * GIB, 16 * GIB, pressure, 10**6))
    assert host.woken == [Level.HOLD, Level.DRAIN, Level.WAIT]
    assert not host.gate.take("w")
    for host.fleet.now_s in (1.0, 12.0, 23.0, 34.0):
        host.step(HostReading(64 * GIB, 60 * GIB, 0.0, 10**6))
    assert host.woken[3:] == [Level.DRAIN, Level.HOLD, Level.CALM]
    assert host.gate.take("w")


async def test_a_kernel_that_tells_of_no_pressure_is_judged_by_memory_and_that_is_said_once(
    tmp_path: Path,
) -> None:
    host = Host(tmp_path)
    with structlog.testing.capture_logs() as logs:
        for available in (60, 1):
            host.step(HostReading(64 * GIB, available * GIB, None, 10**6))
    assert host.gate.level is Level.WAIT
    told = [one for one in logs if one["event"] == "memory_pressure_unknown"]
    assert [one["judged_by"] for one in told] == ["available memory alone"]


async def test_it_looks_on_and_on_and_no_claim_looks_at_the_host(tmp_path: Path) -> None:
    host = Host(tmp_path)
    with pytest.raises(Enough):
        await host.watch.run()
    assert host.reads == 3
    for _ in range(5):
        host.gate.take("w")
        host.gate.check("default")
    assert host.reads == 3
