from dataclasses import asdict

from hakoiri.audit.event import EventKind, HttpFacts
from hakoiri.credential_proxy.audit_events import further_events, request_event
from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.decision import Forward, Injection, Refuse, Upstream
from hakoiri.credential_proxy.decision_log import Outcome, Owner
from hakoiri.credential_proxy.framing import RequestHead

OWNER = Owner(container="c", workspace="w", tenant="t", generation=3)
HEAD = RequestHead(
    method="POST",
    target="/x?token=planted",
    version=(1, 1),
    headers=(("authorization", "planted"),),
)
FORWARD = Forward(
    route="intercepted",
    method="POST",
    upstream=Upstream("https", Authority("a.test", 443), "/x"),
    headers=(("authorization", "planted"),),
    rule="*.test",
    injection=Injection("key", None),
)
REFUSE = Refuse(
    status=403,
    code="host-not-allowed",
    reason="no rule names it",
    authority=Authority("b.test", 8443),
)


def test_a_request_that_passed_tells_whose_where_and_which_credential() -> None:
    outcome = Outcome(status=200, bytes_up=3, bytes_down=5, secrets=("other",))
    event = request_event(owner=OWNER, head=HEAD, decision=FORWARD, outcome=outcome)
    assert (event.kind, event.succeeded) == (EventKind.PROXY_REQUEST_ALLOWED, True)
    assert (event.tenant, event.workspace, event.container) == ("t", "w", "c")
    assert event.http == HttpFacts("POST", "a.test", 443, "/x", 200)
    assert event.details == {
        "reason": "ok",
        "bytes_up": 3,
        "bytes_down": 5,
        "rule": "*.test",
        "route": "intercepted",
        "credential": "key",
        "secrets": ["other"],
        "generation": 3,
    }
    assert "planted" not in str(asdict(event))


def test_a_request_that_passed_and_then_failed_did_not_succeed() -> None:
    outcome = Outcome(status=502, reason="upstream-failed")
    event = request_event(owner=OWNER, head=HEAD, decision=FORWARD, outcome=outcome)
    assert (event.kind, event.succeeded) == (EventKind.PROXY_REQUEST_ALLOWED, False)


def test_a_refused_request_tells_where_it_wanted_to_go_and_why_not() -> None:
    outcome = Outcome(status=403, reason="host-not-allowed")
    event = request_event(owner=OWNER, head=HEAD, decision=REFUSE, outcome=outcome)
    assert (event.kind, event.succeeded) == (EventKind.PROXY_REQUEST_BLOCKED, False)
    assert event.http == HttpFacts("POST", "b.test", 8443, "/x", 403)
    assert event.details["reason"] == "host-not-allowed"
    assert further_events(owner=OWNER, head=HEAD, decision=REFUSE, outcome=outcome) == []


def test_what_was_no_request_is_told_as_blocked() -> None:
    outcome = Outcome(status=400, reason="bad-request")
    event = request_event(owner=OWNER, head=None, decision=None, outcome=outcome)
    assert event.kind is EventKind.PROXY_REQUEST_BLOCKED
    assert event.http == HttpFacts(None, None, None, None, 400)


def test_a_budget_that_is_used_up_is_an_event_of_its_own() -> None:
    outcome = Outcome(status=429, reason="over-budget")
    (event,) = further_events(owner=OWNER, head=HEAD, decision=FORWARD, outcome=outcome)
    assert (event.kind, event.succeeded) == (EventKind.QUOTA_HIT, False)
    assert event.details["kind"] == "budget"


def test_a_secret_that_was_sent_back_is_an_event_of_its_own() -> None:
    outcome = Outcome(status=200, scrubbed=3, scrubbed_headers=1, scrubbed_of=("key",))
    (event,) = further_events(owner=OWNER, head=HEAD, decision=FORWARD, outcome=outcome)
    assert event.kind is EventKind.SECRET_SCRUBBED
    assert event.details["credentials"] == ["key"]
    assert (event.details["in_headers"], event.details["in_body"]) == (1, 2)
