"""What the proxy tells the audit log of a request, purely: names, numbers and reasons."""

from typing import Final

from hakoiri.audit.event import AuditEvent, Detail, EventKind, HttpFacts
from hakoiri.credential_proxy.decision import Decision, Forward
from hakoiri.credential_proxy.decision_log import Outcome, Owner, path_of
from hakoiri.credential_proxy.framing import RequestHead
from hakoiri.wire.problems import OVER_BUDGET

GOOD: Final = "ok"


def request_event(
    *, owner: Owner, head: RequestHead | None, decision: Decision | None, outcome: Outcome
) -> AuditEvent:
    """Return the event of one request; `head` and `decision` are None where there was none."""
    is_allowed = isinstance(decision, Forward)
    kind = EventKind.PROXY_REQUEST_ALLOWED if is_allowed else EventKind.PROXY_REQUEST_BLOCKED
    details: dict[str, Detail] = {
        "reason": outcome.reason,
        "bytes_up": outcome.bytes_up,
        "bytes_down": outcome.bytes_down,
    }
    if decision is not None:
        details["rule"] = decision.rule
        details["route"] = decision.route
    if isinstance(decision, Forward) and decision.injection is not None:
        details["credential"] = decision.injection.credential
    if outcome.left_out:
        details["left_out"] = outcome.left_out
    if outcome.secrets:
        details["secrets"] = list(outcome.secrets)
    return _event(
        kind,
        owner=owner,
        http=_facts(head, decision, outcome),
        details=details,
        succeeded=is_allowed and outcome.reason == GOOD,
    )


def further_events(
    *, owner: Owner, head: RequestHead, decision: Decision, outcome: Outcome
) -> list[AuditEvent]:
    """Return the events that a request is besides itself: a budget hit, a secret sent back."""
    found: list[AuditEvent] = []
    http = _facts(head, decision, outcome)
    if outcome.reason == OVER_BUDGET:
        hit: dict[str, Detail] = {"rule": decision.rule, "kind": "budget"}
        found.append(
            _event(EventKind.QUOTA_HIT, owner=owner, http=http, details=hit, succeeded=False)
        )
    if outcome.scrubbed:
        scrubbed: dict[str, Detail] = {
            "rule": decision.rule,
            "credentials": list(outcome.scrubbed_of),
            "in_headers": outcome.scrubbed_headers,
            "in_body": outcome.scrubbed - outcome.scrubbed_headers,
        }
        found.append(_event(EventKind.SECRET_SCRUBBED, owner=owner, http=http, details=scrubbed))
    return found


def _event(
    kind: EventKind,
    *,
    owner: Owner,
    http: HttpFacts,
    details: dict[str, Detail],
    succeeded: bool = True,
) -> AuditEvent:
    return AuditEvent(
        kind=kind,
        succeeded=succeeded,
        tenant=owner.tenant,
        workspace=owner.workspace,
        container=owner.container,
        http=http,
        details={**details, "generation": owner.generation},
    )


def _facts(head: RequestHead | None, decision: Decision | None, outcome: Outcome) -> HttpFacts:
    authority = None
    if isinstance(decision, Forward):
        authority = decision.upstream.authority
    elif decision is not None:
        authority = decision.authority
    return HttpFacts(
        method=head.method if head is not None else None,
        host=authority.host if authority is not None else None,
        port=authority.port if authority is not None else None,
        path=path_of(head) if head is not None else None,
        status=outcome.status,
    )
