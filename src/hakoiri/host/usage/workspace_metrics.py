"""The figures of each workspace in use, on a page of their own: `/metrics/workspaces`.

A workspace is told only while it has a container, and only so many at once; but over the days
Prometheus keeps one set of series for each that ever had one. So whoever wants them asks for them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from hakoiri.host.usage.figures import Usage

TOLD_LIMIT: Final = 200
"""Workspaces on one page; of more, those that use most memory."""

_PREFIX: Final = "hakoiri_workspace_"


@dataclass(frozen=True, slots=True)
class WorkspaceUse:
    """A workspace that has a container. `usage` is None until that was looked at."""

    workspace_id: str
    is_busy: bool
    usage: Usage | None

    @property
    def memory_bytes(self) -> int:
        """What it was seen to use."""
        return self.usage.figures.memory_bytes if self.usage is not None else 0


class WorkspaceMetrics(Collector):
    """Tells the newest look at each."""

    def __init__(
        self, uses: Callable[[], Iterable[WorkspaceUse]], *, limit: int = TOLD_LIMIT
    ) -> None:
        """`uses` gives the workspaces that have a container now."""
        self._uses = uses
        self._limit = limit
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def render(self) -> str:
        """Return the page, in Prometheus's text format."""
        return generate_latest(self._registry).decode()

    def collect(self) -> Iterable[Metric]:
        """Yield the families."""
        uses = sorted(self._uses(), key=lambda one: one.memory_bytes, reverse=True)
        told = uses[: self._limit]
        yield GaugeMetricFamily(
            "hakoiri_workspaces_not_told",
            "Workspaces in use that are not on this page, since others use more memory.",
            value=len(uses) - len(told),
        )
        busy = _gauge("busy", "1 while a turn or a command runs in it.")
        for one in told:
            busy.add_metric([one.workspace_id], int(one.is_busy))
        yield busy
        yield from _of_kernel([(one.workspace_id, one.usage) for one in told if one.usage])


def _of_kernel(used: list[tuple[str, Usage]]) -> Iterable[Metric]:
    """Yield what the kernel counts of each."""
    cpu = _counter("cpu_seconds", "Processor time since its container was started.")
    memory = _gauge("memory_bytes", "Memory, without the file cache that can be given back.")
    memory_limit = _gauge("memory_limit_bytes", "What it may have; absent where all may be had.")
    pids = _gauge("pids", "Processes.")
    pids_limit = _gauge("pids_limit", "How many it may have.")
    kills = _counter("oom_kills", "Processes that the kernel killed, as it was out of memory.")
    disk = _gauge("disk_bytes", "Bytes in use on each of its disks.", "disk")
    quota = _gauge("disk_quota_bytes", "Size of each of its disks.", "disk")
    for workspace, usage in used:
        figures, labels = usage.figures, [workspace]
        cpu.add_metric(labels, figures.cpu_seconds)
        memory.add_metric(labels, figures.memory_bytes)
        pids.add_metric(labels, figures.pids)
        kills.add_metric(labels, figures.oom_kills)
        for family, limit in (
            (memory_limit, figures.memory_limit_bytes),
            (pids_limit, figures.pids_limit),
        ):
            if limit is not None:
                family.add_metric(labels, limit)
        for name, one in (usage.disk.disks if usage.disk is not None else {}).items():
            disk.add_metric([workspace, name], one.used_bytes)
            quota.add_metric([workspace, name], one.quota_bytes)
    yield from (cpu, memory, memory_limit, pids, pids_limit, kills, disk, quota)


def _gauge(name: str, meaning: str, *more: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, meaning, labels=["workspace", *more])


def _counter(name: str, meaning: str) -> CounterMetricFamily:
    return CounterMetricFamily(_PREFIX + name, meaning, labels=["workspace"])
