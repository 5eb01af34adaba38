from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from hakoiri.audit.shipping.status import ChainStatus, ShipStatus, TargetStatus
from hakoiri.host.telemetry.ship_metrics import ShipMetrics


def page(status: ShipStatus | None) -> str:
    registry = CollectorRegistry()
    registry.register(ShipMetrics(lambda: status, wall_s=lambda: 200.0))
    return generate_latest(registry).decode()


def test_each_copy_tells_how_far_it_is_behind() -> None:
    chains = {
        "server": ChainStatus(sequence=5, waiting_bytes=70, missed_lines=2),
        "proxy": ChainStatus(sequence=1, waiting_bytes=30),
    }
    behind = TargetStatus(
        name="siem", kind="syslog", chains=chains, failures=4, shipped_bytes=9, behind_since=150
    )
    told = page(ShipStatus(told_at=190, targets=[behind, TargetStatus(name="share", kind="file")]))
    for line in (
        "hakoiri_audit_ship_told_age_seconds 10.0",
        'hakoiri_audit_ship_waiting_bytes{target="siem"} 100.0',
        'hakoiri_audit_ship_behind_seconds{target="siem"} 50.0',
        'hakoiri_audit_ship_behind_seconds{target="share"} 0.0',
        'hakoiri_audit_ship_missed_lines{target="siem"} 2.0',
        'hakoiri_audit_ship_failures_total{target="siem"} 4.0',
        'hakoiri_audit_ship_bytes_total{target="siem"} 9.0',
    ):
        assert line in told


def test_a_shipper_that_tells_nothing_is_seen() -> None:
    assert "hakoiri_audit_ship_told_age_seconds +Inf" in page(None)
