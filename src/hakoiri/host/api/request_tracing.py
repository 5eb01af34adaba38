"""Begins a trace for each request, or goes on with the caller's.

A `traceparent` is a caller's word. By default it is not taken for more: the trace is a new one, of
our own id and sampling, with a link to the caller's span. Only where the operator says that callers
are to be trusted does the caller's trace go on here, and his sampling count. `tracestate` and
`baggage` are not read at all.
"""

from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hakoiri.tracing import names
from hakoiri.tracing.spans import Span, Tracer, root
from hakoiri.tracing.trace_context import TraceContext, parse_traceparent

UNTRACED: Final = frozenset({"/health", "/ready", "/metrics", "/openapi.json"})
"""Asked every few seconds by machines, and nothing comes of it."""

_SERVER_FAULT: Final = 500
_HEADER: Final = b"traceparent"


@dataclass(frozen=True, slots=True)
class Traces:
    """What begins the traces, and whether callers' are gone on with."""

    tracer: Tracer
    trusts_callers: bool = False


class RequestTracing:
    """Pure ASGI, so that streams pass through unbuffered; a stream's span is as long as it."""

    def __init__(self, app: ASGIApp, *, traces: Traces) -> None:
        self._app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, within its span."""
        if scope["type"] != "http" or scope["path"] in UNTRACED:
            await self._app(scope, receive, send)
            return
        caller = caller_of(scope)
        is_trusted = self._traces.trusts_callers
        method = names.method_of(scope["method"])
        with root(
            self._traces.tracer,
            method,
            kind="server",
            parent=caller if is_trusted else None,
            link=None if is_trusted else caller,
            attributes={names.HTTP_METHOD: method, names.URL_SCHEME: scope["scheme"]},
        ) as span:

            async def told(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _tell(span, scope, method, message["status"])
                await send(message)

            await self._app(scope, receive, told)


def caller_of(scope: Scope) -> TraceContext | None:
    """Return the span that the caller says it is; None unless it says so once, and soundly."""
    said = [value for name, value in scope["headers"] if name == _HEADER]
    return parse_traceparent(said[0].decode("latin-1")) if len(said) == 1 else None


def _tell(span: Span, scope: Scope, method: str, status: int) -> None:
    # The route's template: the path itself may be that of a user's file.
    route = getattr(scope.get("route"), "path", None)
    if isinstance(route, str):
        span.set(names.HTTP_ROUTE, route)
        span.rename(f"{method} {route}")
    span.set(names.HTTP_STATUS, status)
    if status >= _SERVER_FAULT:
        span.fail(str(status))
