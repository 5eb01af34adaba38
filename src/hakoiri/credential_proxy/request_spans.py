"""The span of one request of a container, made when the request is over. No I/O.

What it is called and what it tells comes from what was decided and from what upstreams counted. Of
what the container sent there is the method, if it is a known one: no path, no query, no header, no
name of a host or a model that it could choose freely.
"""

import time
from collections.abc import Callable, Iterator
from typing import Final

from hakoiri.credential_proxy.decision import Decision, Forward, Refuse
from hakoiri.credential_proxy.decision_log import Outcome, Owner
from hakoiri.credential_proxy.metrics.codes import code_label
from hakoiri.credential_proxy.metrics.observation import PHASES
from hakoiri.tracing import names
from hakoiri.tracing.spans import Tracer, Value
from hakoiri.tracing.trace_context import TraceContext

CHAT: Final = "chat"
_PROVIDERS: Final = {"bedrock": "aws.bedrock", "anthropic": "anthropic"}
_FAILED: Final = 400
_NS_A_MS: Final = 1_000_000


class RequestSpans:
    """Makes spans below those that the server names."""

    def __init__(
        self,
        tracer: Tracer,
        *,
        held_back: Callable[[], None],
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`held_back` is told of each that a container may not have any more."""
        self._tracer = tracer
        self._held_back = held_back
        self._now_ns = now_ns

    def record(
        self, *, owner: Owner, method: str, decision: Decision, outcome: Outcome
    ) -> TraceContext | None:
        """Make the span of a request that has just ended; its place, or the place it belongs to.

        None where nothing is traced.
        """
        traced = owner.traced
        if traced is None:
            return None
        if not traced.allowance.take():
            self._held_back()
            return traced.parent
        ended_ns = self._now_ns()
        span = self._tracer.start(
            name_of(method, decision, outcome),
            kind="client",
            parent=traced.parent,
            is_remote=True,
            attributes=dict(told_of(owner, method, decision, outcome)),
            start_ns=ended_ns - int(outcome.total_ms * _NS_A_MS),
        )
        if span is None:
            return None
        if (error := error_of(decision, outcome)) is not None:
            span.fail(error)
        span.end(end_ns=ended_ns)
        return span.context


def name_of(method: str, decision: Decision, outcome: Outcome) -> str:
    """Return what the span is called: few names, none of the container's making."""
    if _asks_model(decision):
        model = _model_of(decision, outcome)
        return CHAT if model is None else f"{CHAT} {model}"
    return names.method_of(method)


def told_of(
    owner: Owner, method: str, decision: Decision, outcome: Outcome
) -> Iterator[tuple[str, Value]]:
    """Yield what the span tells."""
    yield names.CONTAINER, owner.container
    if owner.workspace is not None and owner.tenant is not None:
        yield names.WORKSPACE, owner.workspace
        yield names.TENANT, owner.tenant
    yield names.HTTP_METHOD, names.method_of(method)
    if decision.route is not None:
        yield names.ROUTE, decision.route
    if decision.rule is not None:
        yield names.RULE, decision.rule
    if outcome.status:
        yield names.HTTP_STATUS, outcome.status
    if isinstance(decision, Refuse):
        yield names.REFUSED, True
    if isinstance(decision, Forward) and decision.call is not None:
        yield names.PROVIDER, _PROVIDERS[decision.call.provider]
        yield names.SERVER_ADDRESS, decision.upstream.authority.host
        yield names.SERVER_PORT, decision.upstream.authority.port
    if _asks_model(decision):
        yield names.OPERATION, CHAT
        if (model := _model_of(decision, outcome)) is not None:
            yield names.REQUEST_MODEL, model
    yield from _tokens(outcome)
    yield from _phases(outcome)


def error_of(decision: Decision, outcome: Outcome) -> str | None:
    """Return why it failed, as a code of ours or a status; None if it did not."""
    code = code_label(outcome.reason)
    if code is not None:
        return code
    if isinstance(decision, Refuse) or outcome.status >= _FAILED:
        return str(outcome.status)
    return None


def _asks_model(decision: Decision) -> bool:
    return (
        isinstance(decision, Forward)
        and decision.call is not None
        and decision.call.operation is not None
    )


def _model_of(decision: Decision, outcome: Outcome) -> str | None:
    """Return the model that was asked, where policy or proxy's file list those that may be."""
    if outcome.model is not None:
        return outcome.model
    if isinstance(decision, Forward) and decision.call is not None and decision.is_model_listed:
        return decision.call.model
    return None


def _tokens(outcome: Outcome) -> Iterator[tuple[str, Value]]:
    if outcome.charged is None:
        return
    usage = outcome.charged.usage
    # the conventions count cached tokens among those of the input
    cached = usage.cache_read_tokens + usage.cache_write_tokens
    yield names.INPUT_TOKENS, usage.input_tokens + cached
    yield names.OUTPUT_TOKENS, usage.output_tokens
    yield names.CACHE_READ_TOKENS, usage.cache_read_tokens
    yield names.CACHE_WRITE_TOKENS, usage.cache_write_tokens


def _phases(outcome: Outcome) -> Iterator[tuple[str, Value]]:
    for phase in PHASES:
        milliseconds: float | None = getattr(outcome, f"{phase}_ms")
        if milliseconds is not None:
            yield f"{names.PHASE}.{phase}_ms", round(milliseconds, 3)
