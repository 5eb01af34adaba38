from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from hakoiri.host.files.quota import DiskUse, TreeUse
from hakoiri.host.usage.figures import CgroupFigures, Usage
from hakoiri.host.usage.metrics import UsageMetrics
from hakoiri.host.usage.watch import FleetUsage

DISK = DiskUse(used_bytes=500, quota_bytes=1000, used_inodes=1, quota_inodes=10)


def used(number: int, *, disk: TreeUse | None = None) -> Usage:
    figures = CgroupFigures(number, 100 * number, 1000, number, None, 0)
    return Usage(f"c{number}", figures, 0, cpu_cores=number / 10, disk=disk)


def page(fleet: FleetUsage) -> str:
    registry = CollectorRegistry()
    registry.register(UsageMetrics(lambda: fleet))
    return generate_latest(registry).decode()


def test_the_fleet_is_told_as_sums_and_as_a_spread() -> None:
    with_disk = used(10, disk=TreeUse(workspace=DISK, home=DISK))
    told = page(FleetUsage((used(1), used(2), with_disk), cpu_seconds=7, oom_kills=1))
    for line in (
        "hakoiri_containers_cpu_seconds_total 7.0",
        "hakoiri_containers_oom_kills_total 1.0",
        "hakoiri_containers_memory_bytes 1300.0",
        "hakoiri_containers_pids 13.0",
        'hakoiri_container_cpu_cores{quantile="0.5"} 0.2',
        'hakoiri_container_memory_bytes{quantile="1"} 1000.0',
        'hakoiri_container_disk_bytes{quantile="0.5"} 1000.0',
        'hakoiri_containers_near_limit{resource="memory"} 1.0',
        'hakoiri_containers_near_limit{resource="pids"} 0.0',
    ):
        assert line in told


def test_the_page_is_as_long_for_two_hundred_containers_as_for_one() -> None:
    many = page(FleetUsage(tuple(used(number) for number in range(1, 201))))
    assert len(many.splitlines()) == len(page(FleetUsage((used(1),))).splitlines())
    assert "c200" not in many


def test_an_empty_fleet_is_told_too() -> None:
    assert "hakoiri_containers_memory_bytes 0.0" in page(FleetUsage())
