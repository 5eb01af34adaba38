"""The figures as text, in Prometheus's exposition format."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from hakoiri.wire.proxy import METRICS_PREFIX

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4


def registry_of(collectors: Iterable[Collector]) -> CollectorRegistry:
    """Make a registry of `collectors` and of the process's own figures."""
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(namespace=METRICS_PREFIX, registry=registry)
    for collector in collectors:
        registry.register(collector)
    return registry


class Snapshot(Collector):
    """The figures as they were when it was taken; these change no more."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._families = list(registry.collect())

    def collect(self) -> Iterable[Metric]:
        """Give what was taken."""
        return self._families

    def render(self) -> bytes:
        """Return the text, of `CONTENT_TYPE`. It may take long, and may run in another thread."""
        return generate_latest(self)
