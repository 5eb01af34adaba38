"""Spans through OpenTelemetry's SDK, sent as OTLP over HTTP. Loaded only where tracing is on.

Everything is said here: no variable of the environment (`OTEL_*`, proxies, `.netrc`) has a say.
"""

import logging
import os
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final

import requests
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.trace import Span as ApiSpan

from hakoiri.tracing.launch import TracingLaunch
from hakoiri.tracing.names import ERROR_TYPE, SCHEMA_URL
from hakoiri.tracing.spans import Kind, OpenSpan, Value
from hakoiri.tracing.tally import TellState, TraceTally
from hakoiri.tracing.trace_context import TraceContext

NAME_LIMIT_CHARS: Final = 128
VALUE_LIMIT_CHARS: Final = 256
BATCH_SPANS: Final = 512
_LIMITS: Final = SpanLimits(
    max_span_attributes=32,
    max_events=0,
    max_links=1,
    max_event_attributes=0,
    max_link_attributes=0,
    max_span_attribute_length=VALUE_LIMIT_CHARS,
)
_KINDS: Final[Mapping[Kind, SpanKind]] = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
}
_REDIRECTS: Final = range(300, 400)


class OtlpTracer:
    """Begins spans that are sent in batches, by a thread of its own."""

    def __init__(
        self,
        launch: TracingLaunch,
        *,
        service: str,
        version: str,
        tally: TraceTally,
        tell_state: TellState,
    ) -> None:
        """`tell_state` is called in that thread."""
        _forget_variables()
        # What it says of each batch, `tell_state` says once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
        resource = Resource(
            {
                "service.namespace": "hakoiri",
                "service.name": service,
                "service.version": version,
                "service.instance.id": launch.instance,
            },
            SCHEMA_URL,
        )
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(launch.ratio)),
            resource=resource,
            span_limits=_LIMITS,
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(
            endpoint=launch.endpoint,
            certificate_file=_trusted_authorities(),
            headers={"user-agent": f"hakoiri/{version}", **launch.headers},
            timeout=launch.timeout_s,
            compression=Compression.Gzip,
            session=_session(),
        )
        self._provider.add_span_processor(
            _BoundedProcessor(
                _WatchedExporter(exporter, tally=tally, tell_state=tell_state),
                tally=tally,
                queue_limit=launch.queue_limit,
                interval_s=launch.interval_s,
            )
        )
        self._tracer = self._provider.get_tracer("hakoiri", version, schema_url=SCHEMA_URL)

    def start(
        self,
        name: str,
        *,
        kind: Kind = "internal",
        parent: TraceContext | None = None,
        is_remote: bool = False,
        link: TraceContext | None = None,
        attributes: Mapping[str, Value] | None = None,
        start_ns: int | None = None,
    ) -> OpenSpan | None:
        """Begin a span; None if its trace is not recorded."""
        made = self._tracer.start_span(
            name[:NAME_LIMIT_CHARS],
            context=_context_of(parent, is_remote=is_remote),
            kind=_KINDS[kind],
            attributes=attributes,
            links=[Link(_span_context(link, is_remote=True))] if link is not None else None,
            start_time=start_ns,
            record_exception=False,
            set_status_on_exception=False,
        )
        return _Recorded(made) if made.is_recording() else None

    def close(self) -> None:
        """Send what waits, and begin no more."""
        self._provider.shutdown()


class _Recorded:
    """A span of the SDK as one of ours."""

    __slots__ = ("_span", "context")

    def __init__(self, span: ApiSpan) -> None:
        self._span = span
        place = span.get_span_context()
        self.context = TraceContext(format_trace_id(place.trace_id), format_span_id(place.span_id))

    def set(self, name: str, value: Value) -> None:
        self._span.set_attribute(name, value)

    def rename(self, name: str) -> None:
        self._span.update_name(name[:NAME_LIMIT_CHARS])

    def fail(self, error_type: str) -> None:
        self._span.set_attribute(ERROR_TYPE, error_type)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self, *, end_ns: int | None = None) -> None:
        self._span.end(end_time=end_ns)


class _BoundedProcessor(BatchSpanProcessor):
    """Takes no more spans than fit the queue, and counts those that do not."""

    def __init__(
        self, exporter: SpanExporter, *, tally: TraceTally, queue_limit: int, interval_s: float
    ) -> None:
        super().__init__(
            exporter,
            # the SDK's own queue never fills: places are given out before
            max_queue_size=queue_limit,
            schedule_delay_millis=interval_s * 1000,
            max_export_batch_size=min(BATCH_SPANS, queue_limit),
        )
        self._tally = tally

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span."""
        if self._tally.admit():
            super().on_end(span)


class _WatchedExporter(SpanExporter):
    """Counts what the exporter does, and tells when the receiver comes or goes."""

    def __init__(self, exporter: SpanExporter, *, tally: TraceTally, tell_state: TellState) -> None:
        self._exporter = exporter
        self._tally = tally
        self._tell_state = tell_state

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch; nothing that goes wrong gets further than this."""
        try:
            result = self._exporter.export(spans)
        except Exception:  # noqa: BLE001 - whatever it is, spans are all that may be lost
            result = SpanExportResult.FAILURE
        is_taken = result is SpanExportResult.SUCCESS
        if self._tally.sent(len(spans), is_taken=is_taken):
            self._tell_state(is_taken)
        return result

    def shutdown(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()


def _forget_variables() -> None:
    """Drop what the SDK would read, for a second way to set it up would get around the first."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        del os.environ[name]


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.hooks["response"] = [_refuse_redirect]
    return session


def _refuse_redirect(answer: requests.Response, *_: Any, **__: Any) -> None:
    """A receiver that sends us elsewhere has taken nothing; the exporter takes it for success."""
    if answer.status_code in _REDIRECTS:
        answer.close()
        raise requests.exceptions.InvalidURL("the endpoint redirects")


def _trusted_authorities() -> str | None:
    """Return the system's authorities, as `SSL_CERT_FILE` and `SSL_CERT_DIR` may name them."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath


def _context_of(parent: TraceContext | None, *, is_remote: bool) -> Context:
    if parent is None:
        return Context()
    place = _span_context(parent, is_remote=is_remote)
    return set_span_in_context(NonRecordingSpan(place), Context())


def _span_context(place: TraceContext, *, is_remote: bool) -> SpanContext:
    flags = TraceFlags.SAMPLED if place.is_sampled else TraceFlags.DEFAULT
    return SpanContext(
        int(place.trace_id, 16),
        int(place.span_id, 16),
        is_remote=is_remote,
        trace_flags=TraceFlags(flags),
    )
