from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.decision import Forward, Refuse, Upstream
from hakoiri.credential_proxy.decision_log import Outcome
from hakoiri.credential_proxy.metrics.observation import PHASES, observe

FORWARD = Forward(
    route="intercepted",
    method="GET",
    upstream=Upstream("https", Authority("a.test", 443), "/"),
    headers=(),
    rule="*.a.test",
)
REFUSE = Refuse(403, "host-not-allowed", "why", "egress", Authority("b.test", 80))


def test_a_request_that_ended_well_has_its_times_and_bytes_and_no_code() -> None:
    outcome = Outcome(
        status=200,
        bytes_up=1,
        bytes_down=2,
        queue_ms=0.1,
        dns_ms=0.2,
        connect_ms=0.3,
        tls_ms=0.4,
        sign_ms=0.5,
        first_byte_ms=0.6,
        total_ms=7.0,
        scrubbed=3,
        scrubbed_headers=1,
    )
    seen = observe(FORWARD, outcome)
    assert (seen.rule, seen.route, seen.is_allowed) == ("*.a.test", "intercepted", True)
    assert (seen.status, seen.code, seen.total_ms, seen.is_tunnel) == ("2xx", None, 7.0, False)
    assert dict(zip(PHASES, seen.phases_ms, strict=True)) == {
        "queue": 0.1,
        "dns": 0.2,
        "connect": 0.3,
        "tls": 0.4,
        "sign": 0.5,
        "first_byte": 0.6,
    }
    assert (seen.bytes_up, seen.bytes_down) == (1, 2)
    assert (seen.scrubbed_headers, seen.scrubbed_body) == (1, 2)


def test_a_refusal_is_one_by_its_code() -> None:
    seen = observe(REFUSE, Outcome(status=403, reason="host-not-allowed"))
    assert (seen.rule, seen.is_allowed, seen.status) == (None, False, "4xx")
    assert (seen.route, seen.code) == ("egress", "host-not-allowed")
    assert set(seen.phases_ms) == {None}


def test_what_could_not_be_read_has_neither_rule_nor_route() -> None:
    seen = observe(None, Outcome(status=400, reason="bad-request"))
    assert (seen.rule, seen.route, seen.is_allowed) == (None, None, False)
    assert seen.code == "bad-request"


@pytest.mark.parametrize(
    ("decision", "status", "is_tunnel"),
    [
        (replace(FORWARD, route="tunnel"), 200, True),
        (replace(FORWARD, route="intercept"), 200, True),
        (replace(FORWARD, is_websocket=True), 101, True),
        (replace(FORWARD, is_websocket=True), 400, False),
        (REFUSE, 403, False),
    ],
)
def test_the_time_of_what_stays_open_is_a_tunnels(
    decision: Forward | Refuse, status: int, *, is_tunnel: bool
) -> None:
    assert observe(decision, Outcome(status=status)).is_tunnel is is_tunnel


@given(st.integers(0, 99_999))
def test_any_status_of_an_upstream_is_in_one_of_six_classes(status: int) -> None:
    seen = observe(FORWARD, Outcome(status=status)).status
    assert seen == (f"{status // 100}xx" if 100 <= status < 600 else "none")
