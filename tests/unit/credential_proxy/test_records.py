import json
from dataclasses import replace
from io import StringIO

import pytest

from hakoiri.audit.allowance import Allowance, RefusalLines
from hakoiri.audit.testing import MemoryAudit
from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.decision import Forward, Injection, Refuse, Retry, Upstream
from hakoiri.credential_proxy.decision_log import DecisionLog, Outcome, Owner
from hakoiri.credential_proxy.framing import RequestHead
from hakoiri.credential_proxy.metrics.request_metrics import RequestMetrics
from hakoiri.credential_proxy.records import RETRY_AFTER_S, Records
from hakoiri.wire.problems import AUDIT_UNAVAILABLE

OWNER = Owner(container="c", workspace="w", tenant="t", generation=3)
HEAD = RequestHead(method="GET", target="/x?planted", version=(1, 1), headers=())
FORWARD = Forward(
    route="intercepted",
    method="GET",
    upstream=Upstream("https", Authority("a.test", 443), "/x"),
    headers=(),
    rule="*.test",
    injection=Injection("key", None),
)


def counted(metrics: RequestMetrics) -> float:
    [family] = [family for family in metrics.collect() if family.name == "hakoiri_proxy_requests"]
    return sum(sample.value for sample in family.samples)


def test_a_request_is_one_line_and_counted_once() -> None:
    stream, metrics = StringIO(), RequestMetrics()
    records = Records(log=DecisionLog(stream), metrics=metrics)
    records.decided(owner=OWNER, head=HEAD, decision=FORWARD, outcome=Outcome(status=200))
    records.unreadable(owner=OWNER, outcome=Outcome(status=400, reason="bad-request"))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["proxy_request_allowed", "proxy_request_blocked"]
    assert counted(metrics) == 2


def test_a_secret_that_came_back_is_a_line_of_its_own() -> None:
    stream = StringIO()
    records = Records(log=DecisionLog(stream), metrics=RequestMetrics())
    outcome = Outcome(status=200, scrubbed=3, scrubbed_headers=1, scrubbed_of=("key",))
    records.decided(owner=OWNER, head=HEAD, decision=FORWARD, outcome=outcome)
    request, scrubbed = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (request["event"], request["scrubbed"]) == ("proxy_request_allowed", 3)
    del scrubbed["time"]
    assert scrubbed == {
        "event": "secret_scrubbed",
        "container": "c",
        "workspace": "w",
        "tenant": "t",
        "generation": 3,
        "host": "a.test",
        "port": 443,
        "rule": "*.test",
        "credentials": ["key"],
        "in_headers": 1,
        "in_body": 2,
    }
    assert "planted" not in stream.getvalue()


def test_refusals_without_end_are_counted_and_not_told_one_by_one() -> None:
    stream, metrics, now = StringIO(), RequestMetrics(), [0.0]
    records = Records(log=DecisionLog(stream), metrics=metrics)
    lines = RefusalLines(Allowance(burst=3, per_s=1, clock_s=lambda: now[0]))
    owner = replace(OWNER, refusals=lines)
    refused = Refuse(403, "host-not-allowed", "no")
    for _ in range(5):
        records.decided(owner=owner, head=HEAD, decision=refused, outcome=Outcome(status=403))
        records.unreadable(owner=owner, outcome=Outcome(status=400, reason="bad-request"))
    for _ in range(4):
        records.decided(owner=owner, head=HEAD, decision=FORWARD, outcome=Outcome(status=200))
    now[0] = 1.0
    records.decided(owner=owner, head=HEAD, decision=refused, outcome=Outcome(status=403))
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"].rpartition("_")[2] for line in told] == (
        ["blocked"] * 3 + ["allowed"] * 4 + ["blocked"]
    )
    assert [line.get("left_out") for line in told] == [None] * 7 + [7]
    assert counted(metrics) == 15


FULL = "the audit log /var/log/x cannot be written: No space left on device"
REFUSE = Refuse(403, "host-not-allowed", "no", "egress")


def audited(audit: MemoryAudit) -> tuple[Records, StringIO]:
    stream = StringIO()
    return Records(log=DecisionLog(stream), metrics=RequestMetrics(), audit=audit), stream


def test_nothing_may_go_out_of_which_no_record_can_be_kept() -> None:
    audit = MemoryAudit()
    records, _ = audited(audit)
    assert records.admitted(FORWARD, route="intercepted") is FORWARD
    audit.failure = FULL
    refused = records.admitted(FORWARD, route="intercepted")
    assert isinstance(refused, Refuse)
    assert (refused.status, refused.code) == (503, AUDIT_UNAVAILABLE)
    assert (refused.route, refused.rule) == ("intercepted", "*.test")
    assert refused.retry == Retry(RETRY_AFTER_S, is_passing=True), "a client comes again by itself"
    assert "/var/log" not in refused.reason, "a container learns no path"
    assert records.admitted(REFUSE, route="egress") is REFUSE, "for its own reason"
    audit.failure = None
    assert records.admitted(FORWARD, route="intercepted") is FORWARD


def test_who_is_told_to_go_on_lets_it_out_all_the_same() -> None:
    audit = MemoryAudit(goes_on=True)
    audit.failure = FULL
    assert audited(audit)[0].admitted(FORWARD, route="intercepted") is FORWARD


def test_only_what_was_done_waits_for_a_disk(subtests: pytest.Subtests) -> None:
    for goes_on, kinds in ((False, ["proxy_request_allowed"]), (True, None)):
        with subtests.test(goes_on=goes_on):
            audit = MemoryAudit(goes_on=goes_on)
            audit.failure = FULL
            records, stream = audited(audit)
            records.decided(owner=OWNER, head=HEAD, decision=FORWARD, outcome=Outcome(status=200))
            refused = Outcome(status=403, reason="host-not-allowed")
            records.decided(owner=OWNER, head=HEAD, decision=REFUSE, outcome=refused)
            records.unreadable(owner=OWNER, outcome=Outcome(status=400, reason="bad-request"))
            blocked = ["proxy_request_blocked"] * 2
            assert audit.kinds() == (kinds or ["proxy_request_allowed", *blocked])
            assert len(stream.getvalue().splitlines()) == 3, "its own log has all"
