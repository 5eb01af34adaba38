"""Figures of admission: the line, what is refused, places, the host's shortage of memory."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

WAIT_SECONDS: Final = (0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)
REFUSALS: Final = ("line-full", "tenant-line-full", "waited-too-long", "stopping", "workspace-gone")
"""Why a claim gets no place."""

Slots = Callable[[], Mapping[str, int]]
"""Gives the number of places in each state."""


class AdmissionMetrics:
    """Counts into the registry it is given. Labels are closed sets of ours."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._wait = Histogram(
            "hakoiri_queue_wait_seconds",
            "How long claims stood in the line, however that ended but by being given up.",
            buckets=WAIT_SECONDS,
            registry=registry,
        )
        self._refused = Counter(
            "hakoiri_claims_refused",
            "Claims that got no place, by reason.",
            ["reason"],
            registry=registry,
        )

        # told from the start, so that Prometheus sees the first of each as growth
        for reason in REFUSALS:
            self._refused.labels(reason)

    def watch_line(self, length: Callable[[], int]) -> None:
        """Show from now on how many claims wait."""
        self._registry.register(
            _Gauge("hakoiri_queue_length", "Claims that wait for a container.", length)
        )

    def watch_slots(self, slots: Slots, *, shortage: Callable[[], int]) -> None:
        """Show from now on the places by state, and the level of the shortage of memory."""
        self._registry.register(_Slots(slots))
        self._registry.register(
            _Gauge(
                "hakoiri_memory_shortage",
                "0: none; 1: no warm containers are started; 2: they are removed; 3: claims wait.",
                shortage,
            )
        )

    def waited(self, seconds: float) -> None:
        """Count the end of a wait."""
        self._wait.observe(seconds)

    def refused(self, reason: str) -> None:
        """Count a claim that got no place; the reasons are few and ours."""
        self._refused.labels(reason).inc()


class _Gauge(Collector):
    def __init__(self, name: str, meaning: str, count: Callable[[], int]) -> None:
        self._name = name
        self._meaning = meaning
        self._count = count

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(self._name, self._meaning, value=self._count())


class _Slots(Collector):
    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "hakoiri_container_slots",
            "Places for containers, by what has them; `free` ones may be taken.",
            labels=["state"],
        )
        for state, number in self._slots().items():
            family.add_metric([state], number)
        yield family
