"""A receiver of OTLP over HTTP on loopback, which reads what it gets as a collector would."""

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from tests import waiting

PATH = "/v1/traces"
WAIT_S = 60.0
until = partial(waiting.until, wait_s=WAIT_S)


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """A span as it was sent; `service` is the process that made it, ids are hexadecimal."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    told: dict[str, Any]
    links: tuple[str, ...]
    has_failed: bool
    started_ns: int
    ended_ns: int
    resource: dict[str, Any]


@dataclass
class TraceReceiver:
    """What came so far. `status` is answered; while `hangs` is clear no answer comes at all."""

    status: int = 200
    answers: threading.Event = field(default_factory=threading.Event)
    spans: list[ReceivedSpan] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    requests: int = 0
    port: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.answers.set()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Keep a request; what cannot be read is a fault of the sender."""
        with self.changed:
            self.requests += 1
            self.headers.append(headers)
            status = self.status if path == PATH else 404
            if status == 200:
                assert headers["content-type"] == "application/x-protobuf"
                sent = gzip.decompress(body) if headers.get("content-encoding") else body
                self.raw.append(sent)
                self.spans += spans_of(ExportTraceServiceRequest.FromString(sent))
            self.changed.notify_all()
        return status

    def wait(self, is_enough: Callable[[list[ReceivedSpan]], bool]) -> list[ReceivedSpan]:
        """Return all spans once there are enough; fail after a while."""
        with self.changed:
            if not self.changed.wait_for(lambda: is_enough(self.spans), timeout=WAIT_S):
                names = [f"{span.service} {span.name}" for span in self.spans]
                raise AssertionError(f"spans are missing; there are {names}")
            return list(self.spans)

    def wait_for_requests(self, number: int) -> None:
        """Wait until so many batches came, taken or not."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.requests >= number, timeout=WAIT_S)


def spans_of(request: ExportTraceServiceRequest) -> Iterator[ReceivedSpan]:
    for group in request.resource_spans:
        resource = {pair.key: value_of(pair.value) for pair in group.resource.attributes}
        for scope in group.scope_spans:
            for span in scope.spans:
                yield ReceivedSpan(
                    service=str(resource["service.name"]),
                    name=span.name,
                    kind=type(span).SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    told={pair.key: value_of(pair.value) for pair in span.attributes},
                    links=tuple(
                        f"{link.trace_id.hex()}-{link.span_id.hex()}" for link in span.links
                    ),
                    has_failed=span.status.code == 2,
                    started_ns=span.start_time_unix_nano,
                    ended_ns=span.end_time_unix_nano,
                    resource=resource,
                )


def value_of(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


@contextmanager
def trace_receiver(host: str = "127.0.0.1") -> Iterator[TraceReceiver]:
    receiver = TraceReceiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers["content-length"]))
            receiver.answers.wait(timeout=WAIT_S)
            status = receiver.take(self.path, headers, body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(status)
            if status in range(300, 400):
                self.send_header("Location", f"{receiver.endpoint}/elsewhere")
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = True
    receiver.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, name="trace receiver", daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.answers.set()
        server.shutdown()
        server.server_close()
        thread.join()
