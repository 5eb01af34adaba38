"""Figures of what became of the server's spans."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hakoiri.tracing.tally import TraceTally


class TraceMetrics(Collector):
    """Reads the tally; there is one only where tracing is on."""

    def __init__(self, tally: TraceTally) -> None:
        self._tally = tally

    def collect(self) -> Iterable[Metric]:
        """Yield the families."""
        spans = CounterMetricFamily(
            "hakoiri_trace_spans", "Spans, by what became of them.", labels=["result"]
        )
        for outcome, count in self._tally.counts().items():
            spans.add_metric([outcome], count)
        yield spans
        yield GaugeMetricFamily(
            "hakoiri_trace_spans_waiting",
            "Spans that wait to be sent.",
            value=self._tally.waiting,
        )
        yield GaugeMetricFamily(
            "hakoiri_trace_export_failing",
            "Whether the last attempt to send spans failed.",
            value=int(self._tally.is_failing),
        )
