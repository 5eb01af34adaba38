"""Figures of the coordination service. There are none where no service is used."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class CoordinationMetrics:
    """Counts into the registry it is given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Show nothing yet."""
        self._registry = registry
        self._failures: Counter | None = None

    def watch(self, is_up: Callable[[], bool]) -> None:
        """Show from now on whether the service answers, and how often it did not."""
        self._registry.register(_Up(is_up))
        self._failures = Counter(
            "hakoiri_coordination_errors",
            "Calls of the coordination service that failed or were not answered in time.",
            registry=self._registry,
        )

    def failed(self) -> None:
        """Count a call that failed."""
        if self._failures is not None:
            self._failures.inc()


class _Up(Collector):
    def __init__(self, is_up: Callable[[], bool]) -> None:
        self._is_up = is_up

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "hakoiri_coordination_up",
            "Whether the coordination service answers.",
            value=float(self._is_up()),
        )
