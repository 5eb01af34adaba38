"""What is kept of each request once it is over: its line, its audit, its figures."""

from hakoiri.audit.writer import AuditLog, NoAuditLog
from hakoiri.credential_proxy.audit_events import further_events, request_event
from hakoiri.credential_proxy.decision import Decision, Refuse
from hakoiri.credential_proxy.decision_log import DecisionLog, Outcome, Owner
from hakoiri.credential_proxy.framing import RequestHead
from hakoiri.credential_proxy.metrics.observation import observe
from hakoiri.credential_proxy.metrics.request_metrics import RequestMetrics
from hakoiri.credential_proxy.request_spans import RequestSpans
from hakoiri.tracing.trace_context import TraceContext


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

    def decided(
        self, *, owner: Owner, head: RequestHead, decision: Decision, outcome: Outcome
    ) -> None:
        """Record a request that was decided on: one that may have gone out, always."""
        self._metrics.count(observe(decision, outcome), tenant=owner.tenant)
        if isinstance(decision, Refuse) and not _has_line(owner, outcome):
            return
        trace = self._trace(owner, head, decision, outcome)
        self._log.decided(owner=owner, head=head, decision=decision, outcome=outcome, trace=trace)
        if outcome.scrubbed:
            self._log.secret_scrubbed(owner=owner, decision=decision, outcome=outcome, trace=trace)
        self._audit.tell(request_event(owner=owner, head=head, decision=decision, outcome=outcome))
        for event in further_events(owner=owner, head=head, decision=decision, outcome=outcome):
            self._audit.tell(event)

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
        self._audit.tell(request_event(owner=owner, head=None, decision=None, outcome=outcome))


def _has_line(owner: Owner, outcome: Outcome) -> bool:
    """Whether a refusal is told by itself; one that is tells how many before it were not."""
    left_out = owner.refusals.take() if owner.refusals is not None else 0
    outcome.left_out = left_out or 0
    return left_out is not None
