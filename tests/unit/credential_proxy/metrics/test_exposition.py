from prometheus_client.parser import text_string_to_metric_families

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.decision import Forward, Upstream
from hakoiri.credential_proxy.decision_log import Outcome
from hakoiri.credential_proxy.metrics.exposition import Snapshot, registry_of
from hakoiri.credential_proxy.metrics.observation import observe
from hakoiri.credential_proxy.metrics.request_metrics import RequestMetrics
from hakoiri.wire.proxy import METRICS_PREFIX

RULE = 'odd" rule\\\n'


def test_the_text_can_be_read_back_and_every_name_has_the_prefix() -> None:
    metrics = RequestMetrics()
    registry = registry_of([metrics])
    upstream = Upstream("http", Authority("a.test", 80))
    forward = Forward(route="egress", method="GET", upstream=upstream, headers=(), rule=RULE)
    metrics.count(observe(forward, Outcome(status=200)), tenant="t")
    text = Snapshot(registry).render().decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert all(name.startswith(f"{METRICS_PREFIX}_") for name in families)
    [sample] = families["hakoiri_proxy_requests"].samples
    assert (sample.labels["rule"], sample.value) == (RULE, 1)
    assert "hakoiri_proxy_process_resident_memory_bytes" in families


def test_a_snapshot_changes_no_more() -> None:
    metrics = RequestMetrics()
    snapshot = Snapshot(registry_of([metrics]))
    before = snapshot.render()
    metrics.count(observe(None, Outcome(status=400, reason="bad-request")), tenant=None)
    assert snapshot.render() == before
    assert b'code="bad-request"' not in before
