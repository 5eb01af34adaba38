from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from hakoiri.host.containers.admission import Refusal
from hakoiri.host.telemetry.admission_metrics import REFUSALS, AdmissionMetrics


def test_the_line_its_ends_and_the_places_are_told() -> None:
    registry = CollectorRegistry(auto_describe=True)
    metrics = AdmissionMetrics(registry)
    waiting = 2
    metrics.watch_line(lambda: waiting)
    metrics.watch_slots(lambda: {"busy": 3, "free": 1}, shortage=lambda: 1)
    metrics.waited(4.0)
    metrics.refused("line-full")
    waiting = 7
    page = generate_latest(registry).decode()
    for line in (
        "hakoiri_queue_length 7.0",
        'hakoiri_queue_wait_seconds_bucket{le="2.5"} 0.0',
        'hakoiri_queue_wait_seconds_bucket{le="5.0"} 1.0',
        'hakoiri_claims_refused_total{reason="line-full"} 1.0',
        'hakoiri_container_slots{state="busy"} 3.0',
        'hakoiri_container_slots{state="free"} 1.0',
        "hakoiri_memory_shortage 1.0",
    ):
        assert line in page


def test_every_reason_is_told_before_it_happens() -> None:
    assert set(REFUSALS) == {one.value for one in Refusal}
    registry = CollectorRegistry()
    AdmissionMetrics(registry)
    page = generate_latest(registry).decode()
    for reason in REFUSALS:
        assert f'hakoiri_claims_refused_total{{reason="{reason}"}} 0.0' in page
