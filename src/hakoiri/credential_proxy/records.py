"""What is kept of each request once it is over: its line, its audit, its figures.

And so what may begin: nothing that could not be kept.
"""

from typing import Final

from hakoiri.audit.writer import AuditLog, NoAuditLog
from hakoiri.credential_proxy.audit_events import further_events, request_event
from hakoiri.credential_proxy.decision import Decision, Forward, Refuse, Retry, Route
from hakoiri.credential_proxy.decision_log import DecisionLog, Outcome, Owner
from hakoiri.credential_proxy.framing import RequestHead
from hakoiri.credential_proxy.metrics.observation import observe
from hakoiri.credential_proxy.metrics.request_metrics import RequestMetrics
from hakoiri.credential_proxy.request_spans import RequestSpans
from hakoiri.tracing.trace_context import TraceContext
from hakoiri.wire.problems import AUDIT_UNAVAILABLE

RETRY_AFTER_S: Final = 5
"""A disk that has room again is found within a second."""

UNRECORDED: Final = (
    "the proxy cannot write its audit log, and lets nothing through that it cannot record; "
    "this ends by itself once its operator has made room on that disk"
)
"""Said to a container, so it names no path."""


class Records:
    """Writes the log, tells the audit log, and counts."""

    def __init__(
        self,
        *,
        log: DecisionLog,
        metrics: RequestMetrics,
        audit: AuditLog | None = None,
        spans: RequestSpans | None = None,
    ) -> None:
        self._spans = spans
        self._log = log
        self._metrics = metrics
        self._audit = audit or NoAuditLog()

    def admitted(self, decision: Decision, *, route: Route) -> Decision:
        """Return the decision, or the refusal of what may go out but could not be recorded."""
        if isinstance(decision, Refuse) or self._audit.hindrance is None:
            return decision
        return Refuse(
            status=503,
            code=AUDIT_UNAVAILABLE,
            reason=UNRECORDED,
            route=route,
            authority=decision.upstream.authority,
            rule=decision.rule,
            retry=Retry(RETRY_AFTER_S, is_passing=True),
        )

    def decided(
        self, *, owner: Owner, head: RequestHead, decision: Decision, outcome: Outcome
    ) -> None:
        """Record a request that was decided on: one that may have gone out, always."""
        self._metrics.count(observe(decision, outcome), tenant=owner.tenant)
        if isinstance(decision, Refuse) and not _has_line(owner, outcome):
            return
        trace = self._trace(owner, head, decision, outcome)
        self._log.decided(owner=owner, head=head, decision=decision, outcome=outcome, trace=trace)
        if self._is_left_out(decision):
            return
        if outcome.scrubbed:
            self._log.secret_scrubbed(owner=owner, decision=decision, outcome=outcome, trace=trace)
        self._audit.tell(request_event(owner=owner, head=head, decision=decision, outcome=outcome))
        for event in further_events(owner=owner, head=head, decision=decision, outcome=outcome):
            self._audit.tell(event)

    def _is_left_out(self, decision: Decision | None) -> bool:
        """Whether the audit log is not told: what waits for a disk is what was done."""
        return not isinstance(decision, Forward) and self._audit.hindrance is not None

    def _trace(
        self, owner: Owner, head: RequestHead, decision: Decision, outcome: Outcome
    ) -> TraceContext | None:
        if self._spans is None or owner.traced is None:
            return None
        return self._spans.record(
            owner=owner, method=head.method, decision=decision, outcome=outcome
        )

    def unreadable(self, *, owner: Owner, outcome: Outcome) -> None:
        """Record a request whose head was not sound enough to decide on."""
        self._metrics.count(observe(None, outcome), tenant=owner.tenant)
        if not _has_line(owner, outcome):
            return
        self._log.unreadable(owner=owner, outcome=outcome)
        if self._is_left_out(None):
            return
        self._audit.tell(request_event(owner=owner, head=None, decision=None, outcome=outcome))


def _has_line(owner: Owner, outcome: Outcome) -> bool:
    """Whether a refusal is told by itself; one that is tells how many before it were not."""
    left_out = owner.refusals.take() if owner.refusals is not None else 0
    outcome.left_out = left_out or 0
    return left_out is not None
