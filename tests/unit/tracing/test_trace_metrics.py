import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from hakoiri.tracing.tally import TraceTally
from hakoiri.tracing.trace_metrics import TraceMetrics


@pytest.mark.parametrize("prefix", ["hakoiri", "hakoiri_proxy"])
def test_what_became_of_spans_is_told(prefix: str) -> None:
    tally, registry = TraceTally(queue_limit=3), CollectorRegistry()
    registry.register(TraceMetrics(tally, prefix=prefix))
    for _ in range(4):
        tally.admit()
    tally.sent(1, is_taken=True)
    tally.sent(1, is_taken=False)
    lines = generate_latest(registry).decode().splitlines()
    for line in (
        f'{prefix}_trace_spans_total{{result="exported"}} 1.0',
        f'{prefix}_trace_spans_total{{result="failed"}} 1.0',
        f'{prefix}_trace_spans_total{{result="dropped"}} 1.0',
        f'{prefix}_trace_spans_total{{result="held_back"}} 0.0',
        f"{prefix}_trace_spans_waiting 1.0",
        f"{prefix}_trace_export_failing 1.0",
    ):
        assert line in lines
