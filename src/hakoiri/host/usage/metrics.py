"""The figures of what all containers use together. No container has a label of its own.

Of many, the middle one, the tenth from the top and the largest are told; one workspace's own use is
asked for at `/v1/workspaces/{id}/usage`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hakoiri.host.usage.figures import Usage, near_limit, quantiles_of
from hakoiri.host.usage.watch import FleetUsage

_SPREAD: Final[tuple[tuple[str, str, Callable[[Usage], float | None]], ...]] = (
    (
        "hakoiri_container_cpu_cores",
        "Processors that a container used, between the last two looks.",
        lambda one: one.cpu_cores,
    ),
    (
        "hakoiri_container_memory_bytes",
        "Memory of a container, without the file cache that can be given back.",
        lambda one: one.figures.memory_bytes,
    ),
    ("hakoiri_container_pids", "Processes of a container.", lambda one: one.figures.pids),
    (
        "hakoiri_container_disk_bytes",
        "Bytes in use on a workspace's two disks.",
        lambda one: one.disk_bytes if one.disk is not None else None,
    ),
)


class UsageMetrics(Collector):
    """Tells the newest look at the fleet."""

    def __init__(self, fleet: Callable[[], FleetUsage]) -> None:
        """`fleet` gives the newest look."""
        self._fleet = fleet

    def collect(self) -> Iterable[Metric]:
        """Yield the families."""
        fleet = self._fleet()
        yield CounterMetricFamily(
            "hakoiri_containers_cpu_seconds",
            "Processor time of all containers since the server started.",
            value=fleet.cpu_seconds,
        )
        yield CounterMetricFamily(
            "hakoiri_containers_oom_kills",
            "Processes that the kernel killed because a container was out of memory.",
            value=fleet.oom_kills,
        )
        yield _sum(
            "hakoiri_containers_memory_bytes",
            "Memory of all containers together.",
            [one.figures.memory_bytes for one in fleet.containers],
        )
        yield _sum(
            "hakoiri_containers_pids",
            "Processes of all containers together.",
            [one.figures.pids for one in fleet.containers],
        )
        for name, meaning, value_of in _SPREAD:
            yield _spread(name, meaning, [value_of(one) for one in fleet.containers])
        near = GaugeMetricFamily(
            "hakoiri_containers_near_limit",
            "Containers over 90 % of a limit, by resource.",
            labels=["resource"],
        )
        for resource, count in near_limit(fleet.containers).items():
            near.add_metric([resource], count)
        yield near


def _sum(name: str, meaning: str, values: Sequence[int]) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, value=sum(values))


def _spread(name: str, meaning: str, values: Sequence[float | None]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=["quantile"])
    known = [value for value in values if value is not None]
    for quantile, value in quantiles_of(known).items():
        family.add_metric([f"{quantile:g}"], value)
    return family
