import asyncio

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from hakoiri.host.telemetry.sync_metrics import SyncMetrics


def test_what_was_moved_and_how_it_ended() -> None:
    registry = CollectorRegistry()
    metrics = SyncMetrics(registry)
    now_s = iter([0, 2, 0, 1, 0, 1, 0, 1])
    with metrics.metered("save", clock=lambda: next(now_s)) as moved:
        moved.files, moved.size_bytes = 3, 500
    with (
        pytest.raises(OSError, match="away"),
        metrics.metered("restore", clock=lambda: next(now_s)),
    ):
        raise OSError("away")
    with (
        pytest.raises(asyncio.CancelledError),
        metrics.metered("save", clock=lambda: next(now_s)),
    ):
        raise asyncio.CancelledError
    with metrics.metered("restore", clock=lambda: next(now_s)) as moved:
        moved.is_needless = True
    page = generate_latest(registry).decode()
    for line in (
        'hakoiri_file_syncs_total{direction="save",result="ok"} 1.0',
        'hakoiri_file_syncs_total{direction="save",result="given_up"} 1.0',
        'hakoiri_file_syncs_total{direction="restore",result="failed"} 1.0',
        'hakoiri_file_syncs_total{direction="restore",result="ok"} 0.0',
        'hakoiri_file_sync_seconds_sum{direction="save"} 2.0',
        'hakoiri_file_sync_seconds_count{direction="restore"} 0.0',
        'hakoiri_file_sync_bytes_total{direction="save"} 500.0',
        'hakoiri_file_sync_bytes_total{direction="restore"} 0.0',
        'hakoiri_file_sync_files_total{direction="save"} 3.0',
    ):
        assert line in page


def test_the_oldest_unsaved_work_is_told() -> None:
    registry = CollectorRegistry()
    ages_s = [3.0, 50.0]
    SyncMetrics(registry).watch_unsaved(lambda: ages_s)
    page = generate_latest(registry).decode()
    assert "hakoiri_recovery_point_age_seconds 50.0" in page
    assert "hakoiri_workspaces_unsaved 2.0" in page
    ages_s.clear()
    assert "hakoiri_recovery_point_age_seconds 0.0" in generate_latest(registry).decode()
