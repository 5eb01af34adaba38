"""Figures of the audit log's copies, as the shipper tells them in its file.

Its targets are an operator's, a few; the file is read with bounds at each look.
"""

from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hakoiri.audit.shipping.status import ShipStatus, TargetStatus


class ShipMetrics(Collector):
    """Tells how far each copy got."""

    def __init__(
        self, status: Callable[[], ShipStatus | None], *, wall_s: Callable[[], float]
    ) -> None:
        """`status` gives what was told last; `wall_s` gives seconds since 1970."""
        self._status = status
        self._wall_s = wall_s

    def collect(self) -> Iterable[Metric]:
        """Yield the families; where nothing was told, only that."""
        told = self._status()
        now_s = self._wall_s()
        age_s = max(0.0, now_s - told.told_at) if told is not None else float("inf")
        yield GaugeMetricFamily(
            "hakoiri_audit_ship_told_age_seconds",
            "Since when the process that copies the audit log has told nothing.",
            value=age_s,
        )
        targets = told.targets if told is not None else []
        yield _gauge(
            "hakoiri_audit_ship_waiting_bytes",
            "Bytes of the audit log that a copy has not yet, by target.",
            {one.name: one.waiting_bytes for one in targets},
        )
        yield _gauge(
            "hakoiri_audit_ship_behind_seconds",
            "For how long a copy has not had all, by target.",
            {one.name: _behind_s(one, now_s) for one in targets},
        )
        yield _gauge(
            "hakoiri_audit_ship_missed_lines",
            "Lines that were taken away before they were copied, by target.",
            {one.name: sum(chain.missed_lines for chain in one.chains.values()) for one in targets},
        )
        yield _counter(
            "hakoiri_audit_ship_failures",
            "Steps that failed, by target.",
            {one.name: one.failures for one in targets},
        )
        yield _counter(
            "hakoiri_audit_ship_bytes",
            "Bytes that were copied, by target.",
            {one.name: one.shipped_bytes for one in targets},
        )


def _behind_s(target: TargetStatus, now_s: float) -> float:
    return 0.0 if target.behind_since is None else max(0.0, now_s - target.behind_since)


def _gauge(name: str, meaning: str, values: dict[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=["target"])
    for target, value in values.items():
        family.add_metric([target], value)
    return family


def _counter(name: str, meaning: str, values: dict[str, float]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, meaning, labels=["target"])
    for target, value in values.items():
        family.add_metric([target], value)
    return family
