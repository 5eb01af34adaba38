import asyncio

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from hakoiri.host.telemetry.container_metrics import ContainerMetrics, NoTally, tallied


def told(metrics_of: CollectorRegistry) -> str:
    return generate_latest(metrics_of).decode()


def test_how_a_start_ended_and_how_long_it_took() -> None:
    registry = CollectorRegistry()
    metrics = ContainerMetrics(registry)
    now_s = iter([0, 2, 10, 99, 100, 101])
    with tallied(metrics, "cold", clock=lambda: next(now_s)):
        pass
    with pytest.raises(ValueError, match="no"), tallied(metrics, "warm", clock=lambda: next(now_s)):
        raise ValueError("no")
    with (
        pytest.raises(asyncio.CancelledError),
        tallied(metrics, "cold", clock=lambda: next(now_s)),
    ):
        raise asyncio.CancelledError
    page = told(registry)
    assert 'hakoiri_container_starts_total{kind="cold",result="ok"} 1.0' in page
    assert 'hakoiri_container_starts_total{kind="warm",result="failed"} 1.0' in page
    assert 'hakoiri_container_starts_total{kind="cold",result="given_up"} 1.0' in page
    assert 'hakoiri_container_start_seconds_sum{kind="cold"} 2.0' in page
    assert 'hakoiri_container_start_seconds_count{kind="warm"} 0.0' in page


def test_every_state_is_told_also_with_nothing_in_it() -> None:
    registry = CollectorRegistry()
    ContainerMetrics(registry).watch(lambda: {"busy": 3, "unheard-of": 9})
    page = told(registry)
    assert 'hakoiri_containers{state="busy"} 3.0' in page
    assert 'hakoiri_containers{state="paused"} 0.0' in page
    assert "unheard-of" not in page


def test_who_counts_nothing_minds_nothing() -> None:
    with tallied(NoTally(), "probe", clock=lambda: 0):
        pass
