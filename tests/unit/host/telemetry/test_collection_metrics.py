from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from hakoiri.host.telemetry.collection_metrics import CollectionMetrics


def test_what_the_store_holds_and_what_went_is_told() -> None:
    registry = CollectorRegistry(auto_describe=True)
    metrics = CollectionMetrics(registry)
    metrics.looked_through({"live": 5, "archived": 7}, missing=2)
    metrics.removed(archived_bytes=3, deleted_bytes=4)
    metrics.removed(archived_bytes=3, deleted_bytes=0)
    metrics.succeeded(1234.5)
    metrics.failed()
    metrics.runs_every(600)
    metrics.expired(3)
    page = generate_latest(registry).decode()
    for line in (
        'hakoiri_store_bytes{what="live"} 5.0',
        'hakoiri_store_bytes{what="wasted"} 0.0',
        'hakoiri_store_bytes{what="archived"} 7.0',
        'hakoiri_store_collected_bytes_total{how="archived"} 6.0',
        'hakoiri_store_collected_bytes_total{how="deleted"} 4.0',
        "hakoiri_store_missing_objects 2.0",
        "hakoiri_store_collection_last_success_timestamp_seconds 1234.5",
        "hakoiri_store_collection_failures_total 1.0",
        "hakoiri_store_collection_interval_seconds 600.0",
        "hakoiri_store_expired_points_total 3.0",
    ):
        assert line in page
