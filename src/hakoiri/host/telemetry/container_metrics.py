"""Figures of containers' states and starts. Labels are closed sets."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Literal, Protocol, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hakoiri.host.telemetry.pool_metrics import SECONDS

StartKind = Literal["cold", "warm", "probe"]
"""For whom a container is started: a claim, the warm pool, or a look at a box."""

StartResult = Literal["ok", "failed", "given_up"]

STATES: Final = ("starting", "warm", "busy", "idle", "paused", "retiring")
States = Callable[[], Mapping[str, int]]
"""Gives the number of containers by state."""


class StartTally(Protocol):
    """Is told of each start of a container."""

    def started(self, kind: StartKind, result: StartResult, *, seconds: float) -> None:
        """Take note of one that ended so."""


class NoTally:
    """Takes note of nothing."""

    def started(self, kind: StartKind, result: StartResult, *, seconds: float) -> None:
        """Forget it."""


@contextmanager
def tallied(tally: StartTally, kind: StartKind, *, clock: Callable[[], float]) -> Iterator[None]:
    """Tell how the block ended, and how long it took. One that is cancelled was given up."""
    began_s = clock()
    result: StartResult = "given_up"
    try:
        yield
        result = "ok"
    except Exception:
        result = "failed"
        raise
    finally:
        tally.started(kind, result, seconds=clock() - began_s)


class ContainerMetrics:
    """Counts into the registry it is given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        starts = Counter(
            "hakoiri_container_starts",
            "Starts of containers that are over, by what for and how they ended.",
            ["kind", "result"],
            registry=registry,
        )
        seconds = Histogram(
            "hakoiri_container_start_seconds",
            "From nothing to a healthy container, of starts that succeeded.",
            ["kind"],
            buckets=SECONDS,
            registry=registry,
        )
        self._starts = {
            (kind, result): starts.labels(kind, result)
            for kind in get_args(StartKind)
            for result in get_args(StartResult)
        }
        self._seconds = {kind: seconds.labels(kind) for kind in get_args(StartKind)}

    def watch(self, states: States) -> None:
        """Show the number of containers by state from now on."""
        self._registry.register(_States(states))

    def started(self, kind: StartKind, result: StartResult, *, seconds: float) -> None:
        """Count a start."""
        self._starts[kind, result].inc()
        if result == "ok":
            self._seconds[kind].observe(seconds)


class _States(Collector):
    def __init__(self, states: States) -> None:
        self._states = states

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily("hakoiri_containers", "Containers, by state.", labels=["state"])
        found = self._states()
        for state in STATES:
            family.add_metric([state], found.get(state, 0))
        yield family
