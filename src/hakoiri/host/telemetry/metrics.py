"""The server's own figures for Prometheus; the proxy's are put beside them (see `exposition`)."""

from collections.abc import Callable, Iterable
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from hakoiri.host.telemetry.admission_metrics import AdmissionMetrics
from hakoiri.host.telemetry.collection_metrics import CollectionMetrics
from hakoiri.host.telemetry.container_metrics import ContainerMetrics
from hakoiri.host.telemetry.coordination_metrics import CoordinationMetrics
from hakoiri.host.telemetry.health_metrics import HealthMetrics
from hakoiri.host.telemetry.pool_metrics import PoolMetrics
from hakoiri.host.telemetry.probe_metrics import ProbeMetrics
from hakoiri.host.telemetry.sync_metrics import SyncMetrics
from hakoiri.host.telemetry.turn_metrics import TurnMetrics

TurnResult = Literal["result", "error"]
"""With which event a turn ended."""

WORKSPACE_LABELS: Final = 200
"""So many workspaces have a label of their own: containers must not make the page grow."""

OTHER_WORKSPACES: Final = "others"

REMOVALS: Final = frozenset({"idle", "lifetime", "dead", "stray"})
LOSSES: Final = frozenset({"container-lost", "agent-killed", "server-restarted", "server-lost"})
OTHER_REASON: Final = "other"
"""What stands for a reason that is not in its closed set."""


class ServerMetrics:
    """Counts into a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self._registry)
        self.pool = PoolMetrics(self._registry)
        self.admission = AdmissionMetrics(self._registry)
        self.containers = ContainerMetrics(self._registry)
        self.probe = ProbeMetrics(self._registry)
        self.turns = TurnMetrics(self._registry)
        self.sync = SyncMetrics(self._registry)
        self.health = HealthMetrics(self._registry)
        self.collection = CollectionMetrics(self._registry)
        self.coordination = CoordinationMetrics(self._registry)
        self._removals = Counter(
            "hakoiri_containers_collected",
            "Containers that the garbage collector removed, by reason.",
            ["reason"],
            registry=self._registry,
        )
        self._kept = Counter(
            "hakoiri_containers_kept_unsaved",
            "Times that an idle container was kept because its files could not be saved.",
            registry=self._registry,
        )
        self._failed_rounds = Counter(
            "hakoiri_collector_failures",
            "Rounds that the garbage collector gave up, because engine or database failed.",
            registry=self._registry,
        )
        self._images = Counter(
            "hakoiri_images_collected",
            "Old images that were taken away.",
            registry=self._registry,
        )
        turns = Counter(
            "hakoiri_turns",
            "Turns that have ended, by their last event.",
            ["result"],
            registry=self._registry,
        )
        self._recoveries = Counter(
            "hakoiri_container_recoveries",
            "Turns that went on in another container, by what was lost.",
            ["reason"],
            registry=self._registry,
        )
        self._killed_calls = Counter(
            "hakoiri_seccomp_violations",
            "Processes that the system-call filter killed, by workspace, as far as it is known.",
            ["workspace"],
            registry=self._registry,
        )
        # told from the start, so that Prometheus sees the first of each as growth
        for reason in REMOVALS:
            self._removals.labels(reason)
        for reason in LOSSES:
            self._recoveries.labels(reason)
        self._told_workspaces: set[str] = set()
        self._turns = {"result": turns.labels("result"), "error": turns.labels("error")}

    def watch_containers(
        self, live_containers: Callable[[], int], *, paused: Callable[[], int] = lambda: 0
    ) -> None:
        """Show the number of containers from now on, and of those that are frozen."""
        self._registry.register(
            _Gauge(
                "hakoiri_containers_live",
                "Containers that are live, warm or starting.",
                live_containers,
            )
        )
        self._registry.register(
            _Gauge("hakoiri_containers_paused", "Live containers that are frozen.", paused)
        )

    def watch_subscribers(self, subscribers: Callable[[], int]) -> None:
        """Show from now on how many watch the events of a conversation."""
        self._registry.register(
            _Gauge(
                "hakoiri_event_subscribers",
                "Open streams of conversations' events.",
                subscribers,
            )
        )

    def watch(self, collector: Collector) -> None:
        """Show what another room tells, from now on; its labels must be bounded."""
        self._registry.register(collector)

    def watch_disks(self, disk_use: Callable[[], tuple[int, int]]) -> None:
        """Show from now on the bytes in use, and how many workspaces are nearly full."""
        self._registry.register(_DiskUse(disk_use))

    def turn_ended(self, result: TurnResult) -> None:
        """Count a turn."""
        self._turns[result].inc()

    def removed(self, reason: str) -> None:
        """Count a container that the collector removed; the reasons are few and ours."""
        self._removals.labels(_one_of(REMOVALS, reason)).inc()

    def images_removed(self, count: int) -> None:
        """Count old images that were taken away."""
        self._images.inc(count)

    def kept_unsaved(self) -> None:
        """Count that a container stayed whose files could not be saved."""
        self._kept.inc()

    def collecting_failed(self) -> None:
        """Count a round that the collector gave up."""
        self._failed_rounds.inc()

    def recovered(self, reason: str) -> None:
        """Count a turn that got over a loss; the reasons are few and ours."""
        self._recoveries.labels(_one_of(LOSSES, reason)).inc()

    def system_call_killed(self, workspace_id: str) -> None:
        """Count a process that the filter killed; beyond a bound, new workspaces share a label."""
        if len(self._told_workspaces) < WORKSPACE_LABELS:
            self._told_workspaces.add(workspace_id)
        label = workspace_id if workspace_id in self._told_workspaces else OTHER_WORKSPACES
        self._killed_calls.labels(label).inc()

    def render(self) -> str:
        """Return the figures as they are now, in Prometheus's text format."""
        return generate_latest(self._registry).decode()


def _one_of(known: frozenset[str], reason: str) -> str:
    return reason if reason in known else OTHER_REASON


class _Gauge(Collector):
    def __init__(self, name: str, meaning: str, count: Callable[[], int]) -> None:
        self._name = name
        self._meaning = meaning
        self._count = count

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(self._name, self._meaning, value=self._count())


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
