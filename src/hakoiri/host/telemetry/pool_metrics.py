"""Figures of the warm pool and of claims. Labels are bounded: runtimes, states, kinds of start."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hakoiri.wire.messages import Runtime

Start = Literal["live", "warm", "cold"]
"""How a claim came by its container."""

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
Sizes = Callable[[], Mapping[tuple[str, str], int]]
"""Gives the number of warm containers by runtime and state."""


class PoolMetrics:
    """Counts into the registry it is given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        claims = Counter(
            "hakoiri_claims",
            "Containers given to turns, by how: live already, warm, or started for it (cold).",
            ["start"],
            registry=registry,
        )
        acquire = Histogram(
            "hakoiri_claim_seconds",
            "From the request for a container to one that is healthy, filled and bound, by how.",
            ["start"],
            buckets=SECONDS,
            registry=registry,
        )
        starts: tuple[Start, ...] = ("live", "warm", "cold")
        self._claims = {start: (claims.labels(start), acquire.labels(start)) for start in starts}
        self._exhausted = Counter(
            "hakoiri_warm_pool_exhausted",
            "Claims that the warm pool should have served, but had nothing for.",
            ["runtime"],
            registry=registry,
        )
        self._failures = Counter(
            "hakoiri_warm_pool_refill_failures",
            "Warm containers that could not be started.",
            ["runtime"],
            registry=registry,
        )

        for runtime in get_args(Runtime):  # from the start, so that the first is seen as growth
            self._exhausted.labels(runtime)
            self._failures.labels(runtime)

    def watch(self, sizes: Sizes) -> None:
        """Show the pool's size from now on."""
        self._registry.register(_Sizes(sizes))

    def claimed(self, start: Start, *, seconds: float) -> None:
        """Count a claim."""
        count, acquire = self._claims[start]
        count.inc()
        acquire.observe(seconds)

    def exhausted(self, runtime: str) -> None:
        """Count a claim that found the pool empty."""
        self._exhausted.labels(runtime).inc()

    def refill_failed(self, runtime: str) -> None:
        """Count a start that failed."""
        self._failures.labels(runtime).inc()


class _Sizes(Collector):
    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "hakoiri_warm_containers",
            "Warm containers, by runtime and state.",
            labels=["runtime", "state"],
        )
        for (runtime, state), count in self._sizes().items():
            family.add_metric([runtime, state], count)
        yield family
