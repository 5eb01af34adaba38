"""Events in the form of the Open Cybersecurity Schema Framework, purely.

Source: the OCSF schema 1.8.0 (Apache-2.0), its classes and objects: application lifecycle (6002),
API activity (6003), HTTP activity (4002), authentication (3002), entity management (3004),
detection finding (2004) and event log activity (1008). What a class has no place for stands in
`unmapped`, which the schema provides for that. Each document has all that its class requires.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from hakoiri.audit.event import DETAILS_LIMIT, AuditEvent, EventKind, HttpFacts, Stamp, clip

SCHEMA_VERSION: Final = "1.8.0"
PRODUCT: Final = "Hakoiri"

INFORMATIONAL, LOW, MEDIUM, HIGH, CRITICAL = 1, 2, 3, 4, 5
OTHER: Final = 99
SUCCESS, FAILURE = 1, 2
ALLOWED, DENIED = 1, 2

LIFECYCLE, API, HTTP = 6002, 6003, 4002
AUTHENTICATION, ENTITY, FINDING, EVENT_LOG = 3002, 3004, 2004, 1008
CATEGORY_STEP: Final = 1000
TYPE_STEP: Final = 100

HTTP_ACTIVITY: Final = {
    "CONNECT": 1,
    "DELETE": 2,
    "GET": 3,
    "HEAD": 4,
    "OPTIONS": 5,
    "POST": 6,
    "PUT": 7,
    "TRACE": 8,
    "PATCH": 9,
}

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Class:
    """Where a kind belongs. `activity_id` of an HTTP request is its method's."""

    class_uid: int
    activity_id: int
    severity_id: int = INFORMATIONAL


_CLASS_OF: Final = {
    EventKind.CONTAINER_CREATED: _Class(LIFECYCLE, 3),
    EventKind.CONTAINER_REMOVED: _Class(LIFECYCLE, 4),
    EventKind.CONTAINER_RECOVERED: _Class(LIFECYCLE, 5, MEDIUM),
    EventKind.IMAGE_REMOVED: _Class(API, 4),
    EventKind.TURN_STARTED: _Class(API, 1),
    EventKind.TURN_ENDED: _Class(API, 3),
    EventKind.FILES_SYNCED: _Class(API, 3),
    EventKind.FILES_RESTORED: _Class(API, 2),
    EventKind.COMMAND_STARTED: _Class(API, 1),
    EventKind.FILE_CHANGED: _Class(API, 3),
    EventKind.WORKSPACE_KILLED: _Class(API, 4),
    EventKind.STORE_COLLECTED: _Class(API, 4),
    EventKind.WORKSPACE_FORKED: _Class(API, 1),
    EventKind.POLICY_CHANGED: _Class(ENTITY, 3, LOW),
    EventKind.POOL_CHANGED: _Class(ENTITY, 3, LOW),
    EventKind.KEY_CREATED: _Class(ENTITY, 1, LOW),
    EventKind.KEY_REVOKED: _Class(ENTITY, 9, LOW),
    EventKind.LOGIN_FAILED: _Class(AUTHENTICATION, 1, MEDIUM),
    EventKind.SECCOMP_VIOLATION: _Class(FINDING, 1, HIGH),
    EventKind.BOX_PROBED: _Class(API, 2),
    EventKind.PROXY_REQUEST_ALLOWED: _Class(HTTP, OTHER),
    EventKind.PROXY_REQUEST_BLOCKED: _Class(HTTP, OTHER, MEDIUM),
    EventKind.QUOTA_HIT: _Class(FINDING, 1, MEDIUM),
    EventKind.SECRET_SCRUBBED: _Class(FINDING, 1, HIGH),
    EventKind.ENGINE_CALL_REFUSED: _Class(API, OTHER, HIGH),
    EventKind.AUDIT_LOG_OPENED: _Class(EVENT_LOG, 6),
    EventKind.AUDIT_LOG_CLOSED: _Class(EVENT_LOG, 7),
    EventKind.AUDIT_LOG_REPAIRED: _Class(EVENT_LOG, 8, MEDIUM),
    EventKind.AUDIT_LINES_LOST: _Class(FINDING, 1, CRITICAL),
}


def to_ocsf(event: AuditEvent, stamp: Stamp) -> Document:
    """Return the document; `metadata` comes first and `unmapped` last, as a chain needs it."""
    kind = _CLASS_OF[event.kind]
    activity = kind.activity_id
    if event.http is not None and event.http.method is not None:
        activity = HTTP_ACTIVITY.get(event.http.method.upper(), OTHER)
    document: Document = {
        "metadata": _metadata(event, stamp),
        "time": milliseconds(stamp.at),
        "category_uid": kind.class_uid // CATEGORY_STEP,
        "class_uid": kind.class_uid,
        "activity_id": activity,
        "type_uid": kind.class_uid * TYPE_STEP + activity,
        "severity_id": kind.severity_id,
        "status_id": SUCCESS if event.succeeded else FAILURE,
    }
    if activity == OTHER:
        document["activity_name"] = _other_name(event)
    document |= _REQUIRED[kind.class_uid](event, stamp)
    document["unmapped"] = _unmapped(event)
    return document


def milliseconds(at: datetime) -> int:
    """Return milliseconds since 1970, as the schema writes times."""
    return int(at.timestamp() * 1000)


def _metadata(event: AuditEvent, stamp: Stamp) -> Document:
    made: Document = {
        "sequence": stamp.sequence,
        "version": SCHEMA_VERSION,
        "event_code": event.kind.value,
        "log_name": stamp.chain,
        "product": {"name": PRODUCT, "vendor_name": PRODUCT, "version": stamp.version},
    }
    if event.tenant is not None:
        made["tenant_uid"] = clip(event.tenant)
    return made


def _other_name(event: AuditEvent) -> str:
    if event.http is not None and event.http.method is not None:
        return str(clip(event.http.method))
    return event.kind.value


def _actor(event: AuditEvent, stamp: Stamp) -> Document:
    if event.actor is not None:
        return {"actor": {"user": {"uid": clip(event.actor)}}}
    return {"actor": {"app_name": f"hakoiri-{stamp.chain}"}}


def _source(event: AuditEvent, stamp: Stamp) -> Document:
    """Where a call came from: the container, or the process that did it by itself."""
    return {"src_endpoint": {"uid": clip(event.container or f"hakoiri-{stamp.chain}")}}


def _lifecycle(event: AuditEvent, _: Stamp) -> Document:
    return {"app": {"name": "workspace container", "uid": clip(event.container)}}


def _api(event: AuditEvent, stamp: Stamp) -> Document:
    return _actor(event, stamp) | _source(event, stamp) | {"api": {"operation": event.kind.value}}


def _http(event: AuditEvent, stamp: Stamp) -> Document:
    facts = event.http or HttpFacts(None, None, None, None, 0)
    blocked = event.kind is EventKind.PROXY_REQUEST_BLOCKED
    request: Document = {"http_method": clip(facts.method) or "UNKNOWN"}
    if facts.path:
        request["url"] = {"path": clip(facts.path)}
    document = _source(event, stamp) | {
        "action_id": DENIED if blocked else ALLOWED,
        "http_request": request,
        "http_response": {"code": facts.status},
    }
    if facts.host is not None:
        document["dst_endpoint"] = {"hostname": clip(facts.host), "port": facts.port}
    return document


def _authentication(event: AuditEvent, _: Stamp) -> Document:
    return {
        "user": {"name": "unknown", "uid": clip(event.actor or "unknown")},
        "service": {"name": "hakoiri"},
    }


_ENTITIES: Final = {
    EventKind.POLICY_CHANGED: "Policy",
    EventKind.POOL_CHANGED: "Warm pool",
}


def _entity(event: AuditEvent, stamp: Stamp) -> Document:
    named = event.details.get("name") or event.details.get("key") or event.tenant or "default"
    return _actor(event, stamp) | {
        "entity": {"type": _ENTITIES.get(event.kind, "API key"), "uid": clip(named)}
    }


def _finding(event: AuditEvent, stamp: Stamp) -> Document:
    uid = f"{stamp.chain}-{stamp.sequence}"
    return {"finding_info": {"uid": uid, "title": event.kind.value}, "is_alert": True}


def _event_log(event: AuditEvent, stamp: Stamp) -> Document:
    return _actor(event, stamp) | {
        "device": {"type_id": 1, "uid": "host"},
        "log_name": stamp.chain,
    }


_REQUIRED: Final[dict[int, Callable[[AuditEvent, Stamp], Document]]] = {
    LIFECYCLE: _lifecycle,
    API: _api,
    HTTP: _http,
    AUTHENTICATION: _authentication,
    ENTITY: _entity,
    FINDING: _finding,
    EVENT_LOG: _event_log,
}


def _unmapped(event: AuditEvent) -> Document:
    fields: Document = {"event": event.kind.value}
    for name, value in (
        ("workspace", event.workspace),
        ("container", event.container),
        ("conversation", event.conversation),
    ):
        if value is not None:
            fields[name] = clip(value)
    for name, detail in list(event.details.items())[:DETAILS_LIMIT]:
        fields.setdefault(name, clip(detail))
    return fields
