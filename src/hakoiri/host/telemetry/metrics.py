"""The server's own figures for Prometheus; the proxy's are put beside them (see `exposition`)."""

from collections.abc import Callable, Iterable
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from hakoiri.host.telemetry.pool_metrics import PoolMetrics

TurnResult = Literal["result", "error"]
"""With which event a turn ended."""

WORKSPACE_LABELS: Final = 200
"""So many workspaces have a label of their own: containers must not make the page grow."""

OTHER_WORKSPACES: Final = "others"


class ServerMetrics:
    """Counts into a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self._registry)
        self.pool = PoolMetrics(self._registry)
        turns = Counter(
            "hakoiri_turns",
            "Turns that have ended, by their last event.",
            ["result"],
            registry=self._registry,
        )
        self._killed_calls = Counter(
            "hakoiri_seccomp_violations",
            "Processes that the system-call filter killed, by workspace, as far as it is known.",
            ["workspace"],
            registry=self._registry,
        )
        self._told_workspaces: set[str] = set()
        self._turns = {"result": turns.labels("result"), "error": turns.labels("error")}

    def watch_containers(self, live_containers: Callable[[], int]) -> None:
        """Show the number of containers from now on."""
        self._registry.register(_LiveContainers(live_containers))

    def watch_disks(self, disk_use: Callable[[], tuple[int, int]]) -> None:
        """Show from now on the bytes in use, and how many workspaces are nearly full."""
        self._registry.register(_DiskUse(disk_use))

    def turn_ended(self, result: TurnResult) -> None:
        """Count a turn."""
        self._turns[result].inc()

    def system_call_killed(self, workspace_id: str) -> None:
        """Count a process that the filter killed; beyond a bound, new workspaces share a label."""
        if len(self._told_workspaces) < WORKSPACE_LABELS:
            self._told_workspaces.add(workspace_id)
        label = workspace_id if workspace_id in self._told_workspaces else OTHER_WORKSPACES
        self._killed_calls.labels(label).inc()

    def render(self) -> str:
        """Return the figures as they are now, in Prometheus's text format."""
        return generate_latest(self._registry).decode()


class _LiveContainers(Collector):
    def __init__(self, live_containers: Callable[[], int]) -> None:
        self._live_containers = live_containers

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "hakoiri_containers_live",
            "Containers that are live, warm or starting.",
            value=self._live_containers(),
        )


class _DiskUse(Collector):
    def __init__(self, disk_use: Callable[[], tuple[int, int]]) -> None:
        self._disk_use = disk_use

    def collect(self) -> Iterable[Metric]:
        used_bytes, nearly_full = self._disk_use()
        yield GaugeMetricFamily(
            "hakoiri_workspace_disk_used_bytes",
            "Bytes in use on the disks of all live containers, workspaces and homes.",
            value=used_bytes,
        )
        yield GaugeMetricFamily(
            "hakoiri_workspaces_nearly_full",
            "Live workspaces of which a disk is over 90 % of its bytes or inodes.",
            value=nearly_full,
        )
