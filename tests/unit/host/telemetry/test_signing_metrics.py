from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from hakoiri.audit.keeper_status import ChainSigned, KeeperStatus
from hakoiri.host.telemetry.signing_metrics import SigningMetrics


def page(status: KeeperStatus | None) -> str:
    registry = CollectorRegistry()
    registry.register(SigningMetrics(lambda: status, wall_s=lambda: 200.0))
    return generate_latest(registry).decode()


def test_each_chain_tells_since_when_it_is_not_signed() -> None:
    chains = {
        "server": ChainSigned(signed_at=185),
        "proxy": ChainSigned(signed_at=50, is_broken=True),
        "guard": ChainSigned(signed_at=230),  # clocks of two processes differ
    }
    told = page(KeeperStatus(told_at=190, chains=chains))
    for line in (
        "hakoiri_audit_keeper_told_age_seconds 10.0",
        'hakoiri_audit_signed_age_seconds{chain="server"} 15.0',
        'hakoiri_audit_signed_age_seconds{chain="proxy"} 150.0',
        'hakoiri_audit_signed_age_seconds{chain="guard"} 0.0',
        'hakoiri_audit_chain_broken{chain="server"} 0.0',
        'hakoiri_audit_chain_broken{chain="proxy"} 1.0',
    ):
        assert line in told


def test_a_keeper_that_tells_nothing_is_seen() -> None:
    told = page(None)
    assert "hakoiri_audit_keeper_told_age_seconds +Inf" in told
    assert "signed_age_seconds{" not in told
