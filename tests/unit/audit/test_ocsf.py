"""The requirements stand in the schema's own files (events/ and objects/, release 1.8.0)."""

from datetime import UTC, datetime

import pytest

from hakoiri.audit.event import DETAILS_LIMIT, AuditEvent, EventKind, HttpFacts, Stamp
from hakoiri.audit.ocsf import to_ocsf

STAMP = Stamp("server", "1.2.3", 7, datetime(2026, 11, 26, 12, tzinfo=UTC))
REQUEST = HttpFacts("POST", "api.example.test", 443, "/v1/messages", 200)

REQUIRED_OF_ALL = {
    "metadata",
    "time",
    "category_uid",
    "class_uid",
    "activity_id",
    "type_uid",
    "severity_id",
}
REQUIRED = {
    6002: {"app"},
    6003: {"actor", "api", "src_endpoint"},
    4002: {"http_request", "src_endpoint"},
    3002: {"user", "service"},
    3004: {"entity"},
    2004: {"finding_info"},
    1008: {"actor", "device", "log_name"},
}


@pytest.mark.parametrize("kind", list(EventKind))
def test_each_event_has_what_its_class_requires(kind: EventKind) -> None:
    made = to_ocsf(AuditEvent(kind=kind, container="c1", http=None), STAMP)
    assert set(made) >= REQUIRED_OF_ALL | REQUIRED[made["class_uid"]]
    assert made["category_uid"] == made["class_uid"] // 1000
    assert made["type_uid"] == made["class_uid"] * 100 + made["activity_id"]
    assert set(made["metadata"]) >= {"product", "version"}
    assert made["metadata"]["event_code"] == made["unmapped"]["event"] == kind.value
    assert (made["activity_id"] == 99) == ("activity_name" in made)
    assert next(iter(made)) == "metadata"
    assert list(made)[-1] == "unmapped"


@pytest.mark.parametrize(
    ("method", "activity"), [("CONNECT", 1), ("get", 3), ("POST", 6), ("PURGE", 99)]
)
def test_a_requests_activity_is_its_method(method: str, activity: int) -> None:
    facts = HttpFacts(method, "api.example.test", 443, "/", 200)
    made = to_ocsf(AuditEvent(kind=EventKind.PROXY_REQUEST_ALLOWED, http=facts), STAMP)
    assert made["activity_id"] == activity


def test_a_request_tells_where_it_went_and_what_was_decided() -> None:
    blocked = AuditEvent(
        kind=EventKind.PROXY_REQUEST_BLOCKED,
        succeeded=False,
        tenant="acme",
        workspace="w1",
        container="c1",
        http=REQUEST,
        details={"rule": "models", "credential": "bedrock"},
    )
    made = to_ocsf(blocked, STAMP)
    assert made["dst_endpoint"] == {"hostname": "api.example.test", "port": 443}
    assert made["http_request"] == {"http_method": "POST", "url": {"path": "/v1/messages"}}
    assert made["http_response"] == {"code": 200}
    assert made["src_endpoint"] == {"uid": "c1"}
    assert (made["action_id"], made["status_id"]) == (2, 2)
    assert made["metadata"]["tenant_uid"] == "acme"
    assert made["unmapped"] == {
        "event": "proxy_request_blocked",
        "workspace": "w1",
        "container": "c1",
        "rule": "models",
        "credential": "bedrock",
    }
    allowed = to_ocsf(AuditEvent(kind=EventKind.PROXY_REQUEST_ALLOWED, http=REQUEST), STAMP)
    assert (allowed["action_id"], allowed["status_id"]) == (1, 1)


def test_details_cannot_take_the_place_of_what_we_say_and_are_bounded() -> None:
    details = {"event": "x", "workspace": "x"} | {f"d{i}": i for i in range(2 * DETAILS_LIMIT)}
    made = to_ocsf(AuditEvent(kind=EventKind.TURN_ENDED, workspace="w1", details=details), STAMP)
    assert made["unmapped"]["event"] == "turn_ended"
    assert made["unmapped"]["workspace"] == "w1"
    assert len(made["unmapped"]) <= DETAILS_LIMIT + 2
