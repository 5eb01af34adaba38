"""Figures of what became of the proxy's spans."""

from collections.abc import Iterable
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hakoiri.tracing.tally import TraceTally
from hakoiri.wire.proxy import METRICS_PREFIX

_PREFIX: Final = METRICS_PREFIX + "_"


class TraceMetrics(Collector):
    """Reads the tally; there is one only where tracing is on."""

    def __init__(self, tally: TraceTally) -> None:
        self._tally = tally

    def collect(self) -> Iterable[Metric]:
        """Yield the families."""
        spans = CounterMetricFamily(
            _PREFIX + "trace_spans", "Spans, by what became of them.", labels=["result"]
        )
        for outcome, count in self._tally.counts().items():
            spans.add_metric([outcome], count)
        yield spans
        yield GaugeMetricFamily(
            _PREFIX + "trace_spans_waiting",
            "Spans that wait to be sent.",
            value=self._tally.waiting,
        )
        yield GaugeMetricFamily(
            _PREFIX + "trace_export_failing",
            "Whether the last attempt to send spans failed.",
            value=int(self._tally.is_failing),
        )
