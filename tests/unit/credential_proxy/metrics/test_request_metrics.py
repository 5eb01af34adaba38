from collections.abc import Iterator
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.decision import Decision, Forward, Refuse, Route, Upstream
from hakoiri.credential_proxy.decision_log import Outcome
from hakoiri.credential_proxy.metrics.codes import CODES, OTHER
from hakoiri.credential_proxy.metrics.observation import PHASES, observe
from hakoiri.credential_proxy.metrics.request_metrics import BOUNDS_MS, NO_RULE, RequestMetrics
from hakoiri.credential_proxy.metrics.rule_labels import RULES_LIMIT, RuleLabels

ANYTHING = st.text(max_size=20)
TIMES = st.none() | st.floats(0, 1e6)


def forward(rule: str, route: Route = "egress") -> Forward:
    upstream = Upstream("http", Authority("host.test", 80), "/secret/path", "query=planted")
    return Forward(route=route, method="GET", upstream=upstream, headers=(), rule=rule)


def samples(metrics: RequestMetrics) -> Iterator[Sample]:
    for family in metrics.collect():
        yield from family.samples


def value(metrics: RequestMetrics, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(metrics)
    return registry.get_sample_value(name, labels)


def labels_of(metrics: RequestMetrics) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for sample in samples(metrics):
        for name, text in sample.labels.items():
            found.setdefault(name, set()).add(text)
    return found


def test_requests_are_counted_by_rule_way_decision_and_status() -> None:
    metrics = RequestMetrics()
    for _ in range(2):
        metrics.count(observe(forward("a.test"), Outcome(status=200)), tenant="t")
    refuse = Refuse(403, "port-not-allowed", "why", "tunnel", rule="a.test")
    metrics.count(observe(refuse, Outcome(status=403, reason=refuse.code)), tenant="t")
    metrics.count(observe(None, Outcome(status=400, reason="bad-request")), tenant=None)
    name = "hakoiri_proxy_requests_total"
    given = {"rule": "a.test", "route": "egress", "decision": "allowed", "status": "2xx"}
    assert value(metrics, name, **given) == 2
    given = {"rule": "a.test", "route": "tunnel", "decision": "refused", "status": "4xx"}
    assert value(metrics, name, **given) == 1
    given = {"rule": NO_RULE, "route": NO_RULE, "decision": "refused", "status": "4xx"}
    assert value(metrics, name, **given) == 1
    assert value(metrics, "hakoiri_proxy_refusals_total", code="port-not-allowed") == 1
    assert value(metrics, "hakoiri_proxy_refusals_total", code="bad-request") == 1


def test_what_was_let_through_and_failed_is_no_refusal() -> None:
    metrics = RequestMetrics()
    outcome = Outcome(status=504, reason="upstream-timeout")
    metrics.count(observe(forward("a.test"), outcome), tenant="t")
    assert value(metrics, "hakoiri_proxy_failures_total", code="upstream-timeout") == 1
    assert value(metrics, "hakoiri_proxy_refusals_total", code="upstream-timeout") is None


def test_times_are_seconds_in_buckets_that_add_up() -> None:
    metrics = RequestMetrics()
    for first_byte_ms in (0.5, 0.6, 40_000):
        outcome = Outcome(status=200, first_byte_ms=first_byte_ms, total_ms=first_byte_ms * 2)
        metrics.count(observe(forward("a.test"), outcome), tenant="t")
    name = "hakoiri_proxy_request_phase_seconds"
    of = {"rule": "a.test", "phase": "first_byte"}
    found = {
        bound: value(metrics, f"{name}_bucket", le=bound, **of)
        for bound in ("0.0005", "0.001", "30", "+Inf")
    }
    assert found == {"0.0005": 1, "0.001": 2, "30": 2, "+Inf": 3}
    assert value(metrics, f"{name}_count", **of) == 3
    assert value(metrics, f"{name}_sum", **of) == pytest.approx(40.0011)
    assert value(metrics, f"{name}_count", rule="a.test", phase="dns") is None
    assert value(metrics, "hakoiri_proxy_request_seconds_sum", rule="a.test") == pytest.approx(
        80.0022
    )


def test_the_time_of_a_tunnel_is_not_that_of_a_request() -> None:
    metrics = RequestMetrics()
    outcome = Outcome(status=200, total_ms=3_600_000)
    metrics.count(observe(forward("a.test", "tunnel"), outcome), tenant="t")
    assert value(metrics, "hakoiri_proxy_request_seconds_count", rule="a.test") is None
    assert value(metrics, "hakoiri_proxy_tunnel_seconds_sum", rule="a.test") == 3600
    assert value(metrics, "hakoiri_proxy_tunnel_seconds_bucket", rule="a.test", le="3600") == 1


def test_bytes_and_scrubbed_secrets_are_counted() -> None:
    metrics = RequestMetrics()
    outcome = Outcome(status=200, bytes_up=10, bytes_down=20, scrubbed=5, scrubbed_headers=2)
    for _ in range(2):
        metrics.count(observe(forward("a.test"), outcome), tenant="t")
    name = "hakoiri_proxy_transferred_bytes_total"
    assert value(metrics, name, rule="a.test", direction="up") == 20
    assert value(metrics, name, rule="a.test", direction="down") == 40
    assert value(metrics, "hakoiri_proxy_scrubbed_secrets_total", where="header") == 4
    assert value(metrics, "hakoiri_proxy_scrubbed_secrets_total", where="body") == 6


def test_more_rules_than_the_limit_are_counted_together() -> None:
    metrics = RequestMetrics(labels=RuleLabels(limit=2, per_tenant_limit=2))
    for rule in ("a.test", "b.test", "c.test", "d.test", "a.test"):
        metrics.count(observe(forward(rule), Outcome(status=200, bytes_up=1)), tenant="t")
    name = "hakoiri_proxy_transferred_bytes_total"
    assert value(metrics, name, rule="a.test", direction="up") == 2
    assert value(metrics, name, rule=OTHER, direction="up") == 2
    assert labels_of(metrics)["rule"] == {"a.test", "b.test", NO_RULE, OTHER}


decisions: st.SearchStrategy[Decision | None] = st.one_of(
    st.none(),
    st.builds(forward, rule=ANYTHING, route=st.sampled_from(get_args(Route))),
    st.builds(
        Refuse,
        status=st.integers(0, 999),
        code=ANYTHING,
        reason=ANYTHING,
        route=st.sampled_from(get_args(Route)),
        authority=st.builds(Authority, host=ANYTHING, port=st.integers(0, 65535)),
        rule=st.none() | ANYTHING,
    ),
)
outcomes = st.builds(
    Outcome, status=st.integers(0, 9999), reason=ANYTHING, total_ms=st.floats(0, 1e9),
    queue_ms=TIMES, dns_ms=TIMES, connect_ms=TIMES, tls_ms=TIMES, sign_ms=TIMES,
    first_byte_ms=TIMES,
)  # fmt: skip


@settings(max_examples=50)
@given(st.lists(st.tuples(decisions, outcomes, ANYTHING), max_size=60))
def test_no_label_can_grow_without_bound(
    requests: list[tuple[Decision | None, Outcome, str]],
) -> None:
    """Whatever is decided: all labels are closed but the rule's, which is bounded."""
    metrics = RequestMetrics(labels=RuleLabels(limit=4, per_tenant_limit=2))
    for decision, outcome, tenant in requests:
        metrics.count(observe(decision, outcome), tenant=tenant)
    told = [(sample.name, *sorted(sample.labels.items())) for sample in samples(metrics)]
    assert len(told) == len(set(told)), "Prometheus refuses the same figure twice"
    found = labels_of(metrics)
    assert len(found.pop("rule")) <= 4 + 2
    closed = {
        "route": {*get_args(Route), NO_RULE},
        "decision": {"allowed", "refused"},
        "status": {"none", "1xx", "2xx", "3xx", "4xx", "5xx"},
        "code": CODES | {OTHER},
        "phase": set(PHASES),
        "direction": {"up", "down"},
        "where": {"header", "body"},
    }
    bounds = found.pop("le", set())
    assert len(bounds) <= len(BOUNDS_MS) + 10
    for name, texts in found.items():
        assert texts <= closed[name], name


def test_ten_thousand_rules_are_a_hundred_labels() -> None:
    metrics = RequestMetrics()
    for number in range(10_000):
        seen = observe(forward(f"{number}.test"), Outcome(status=200))
        metrics.count(seen, tenant=f"t{number % 7}")
    assert len(labels_of(metrics)["rule"]) == RULES_LIMIT + 2
