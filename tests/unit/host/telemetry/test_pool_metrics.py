from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from hakoiri.host.telemetry.pool_metrics import PoolMetrics


def test_claims_sizes_and_failures_are_told_with_bounded_labels() -> None:
    registry = CollectorRegistry(auto_describe=True)
    metrics = PoolMetrics(registry)
    sizes = {("runc", "ready"): 1, ("runc", "starting"): 0}
    metrics.watch(lambda: sizes)
    metrics.claimed("warm", seconds=0.004)
    metrics.claimed("cold", seconds=1.5)
    metrics.exhausted("runc")
    metrics.refill_failed("runc")
    sizes["runc", "ready"] = 2
    page = generate_latest(registry).decode()
    for line in (
        'hakoiri_claims_total{start="live"} 0.0',
        'hakoiri_claims_total{start="warm"} 1.0',
        'hakoiri_claim_seconds_bucket{le="0.005",start="warm"} 1.0',
        'hakoiri_claim_seconds_sum{start="cold"} 1.5',
        'hakoiri_warm_containers{runtime="runc",state="ready"} 2.0',
        'hakoiri_warm_containers{runtime="runc",state="starting"} 0.0',
        'hakoiri_warm_pool_exhausted_total{runtime="runc"} 1.0',
        'hakoiri_warm_pool_refill_failures_total{runtime="runc"} 1.0',
    ):
        assert line in page
