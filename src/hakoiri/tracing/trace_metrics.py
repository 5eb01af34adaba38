"""Figures of what became of a process's spans."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hakoiri.tracing.tally import TraceTally


class TraceMetrics(Collector):
    """Reads the tally; there is one only where tracing is on."""

    def __init__(self, tally: TraceTally, *, prefix: str) -> None:
        """`prefix` begins each figure's name: whose spans they are."""
        self._tally = tally
        self._prefix = prefix

    def collect(self) -> Iterable[Metric]:
        """Yield the families."""
        spans = CounterMetricFamily(
            f"{self._prefix}_trace_spans", "Spans, by what became of them.", labels=["result"]
        )
        for outcome, count in self._tally.counts().items():
            spans.add_metric([outcome], count)
        yield spans
        yield GaugeMetricFamily(
            f"{self._prefix}_trace_spans_waiting",
            "Spans that wait to be sent.",
            value=self._tally.waiting,
        )
        yield GaugeMetricFamily(
            f"{self._prefix}_trace_export_failing",
            "Whether the last attempt to send spans failed.",
            value=int(self._tally.is_failing),
        )
