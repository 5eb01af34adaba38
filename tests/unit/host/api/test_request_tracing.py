import json
from io import StringIO
from typing import Any

import httpx2
import pytest
import structlog
from starlette.types import Receive, Scope, Send
from tests.unit.host.api.served import Served

from hakoiri.host.api.request_tracing import RequestTracing, Traces
from hakoiri.host.telemetry.logging import add_trace
from hakoiri.tracing.spans import current
from hakoiri.tracing.testing import MemorySpan, MemoryTracer
from hakoiri.tracing.trace_context import TraceContext

pytestmark = pytest.mark.anyio

CALLER = TraceContext("a" * 32, "b" * 16)
PARENT = ("traceparent", CALLER.traceparent)


class World:
    """The application with its requests traced."""

    def __init__(self, *, trusts_callers: bool = False, require_keys: bool = False) -> None:
        self.tracer = MemoryTracer()
        traces = Traces(self.tracer, trusts_callers=trusts_callers)
        self.served = Served(traces=traces, require_keys=require_keys)

    async def ask(
        self, method: str, path: str, *headers: tuple[str, str], **more: Any
    ) -> httpx2.Response:
        async with self.served.client() as client:
            return await client.request(method, path, headers=list(headers), **more)

    @property
    def request(self) -> MemorySpan:
        [span] = [span for span in self.tracer.spans if span.kind == "server"]
        return span


async def test_a_request_is_told_by_its_route_and_status_and_not_by_its_path() -> None:
    world = World()
    await world.ask("GET", "/v1/workspaces/none/files/planted/name.txt?planted=1")
    span = world.request
    assert span.name == "GET /v1/workspaces/{workspace_id}/files/{path:path}"
    assert span.told == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.route": "/v1/workspaces/{workspace_id}/files/{path:path}",
        "http.response.status_code": 404,
    }
    assert (span.error, span.ended_ns) == (None, 0)
    assert "planted" not in repr(world.tracer.spans)


async def test_a_path_that_is_no_route_leaves_the_method_alone() -> None:
    world = World()
    await world.ask("PLANTED", "/planted")
    assert world.request.name == "_OTHER"
    assert "planted" not in repr(world.tracer.spans).lower()


async def test_the_turn_is_below_the_request_and_its_message_is_not_told() -> None:
    world = World()
    async with world.served.client() as client:
        made = (await client.post("/v1/conversations", json={})).json()["id"]
        world.tracer.spans.clear()
        message = {"text": "planted words"}
        answer = await client.post(
            f"/v1/conversations/{made}/messages",
            json=message,
            headers={"Accept": "text/event-stream"},
        )
        assert "planted words" in answer.text
    turn = world.tracer.named("turn")
    assert turn.parent == world.request.context
    assert (turn.told["gen_ai.conversation.id"], turn.told["hakoiri.turn"]) == (made, 1)
    assert turn.told["hakoiri.turn.result"] == "result"
    assert "planted" not in repr(world.tracer.spans)


async def test_what_machines_ask_all_the_time_is_not_traced() -> None:
    world = World()
    for path in ("/health", "/ready", "/metrics", "/openapi.json"):
        await world.ask("GET", path)
    assert world.tracer.spans == []


async def test_a_caller_is_linked_to_and_does_not_choose_the_trace() -> None:
    world = World()
    await world.ask("GET", "/v1/conversations", PARENT)
    span = world.request
    assert (span.parent, span.link) == (None, CALLER)
    assert span.context.trace_id != CALLER.trace_id


async def test_a_trusted_caller_has_his_trace_gone_on_with_and_his_sampling_counts() -> None:
    world = World(trusts_callers=True)
    await world.ask("GET", "/v1/conversations", PARENT)
    span = world.request
    assert (span.parent, span.is_remote, span.link) == (CALLER, True, None)
    world.tracer.spans.clear()
    unsampled = f"00-{CALLER.trace_id}-{CALLER.span_id}-00"
    await world.ask("GET", "/v1/conversations", ("traceparent", unsampled))
    assert world.tracer.spans == []


async def test_an_unsound_or_doubled_header_says_nothing() -> None:
    for headers in ([PARENT, PARENT], [("traceparent", "00-planted")], [("tracestate", "a=b")]):
        world = World(trusts_callers=True)
        await world.ask("GET", "/v1/conversations", *headers)
        assert (world.request.parent, world.request.link) == (None, None)


async def test_who_has_no_key_fills_no_trace() -> None:
    world = World(require_keys=True)
    assert (await world.ask("GET", "/v1/conversations", PARENT)).status_code == 401
    assert world.tracer.spans == []


async def test_a_fault_of_ours_is_one_in_the_trace() -> None:
    tracer = MemoryTracer()

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 503, "headers": []})

    async def sink(_: Any) -> None:
        return

    async def source() -> Any:
        return {}

    scope = {"type": "http", "method": "GET", "path": "/v1", "scheme": "http", "headers": []}
    await RequestTracing(failing, traces=Traces(tracer))(scope, source, sink)
    assert [(span.name, span.error) for span in tracer.spans] == [("GET", "503")]


async def test_lines_that_are_logged_in_a_request_name_its_span() -> None:
    tracer, stream = MemoryTracer(), StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=[add_trace, structlog.processors.JSONRenderer()],
    )

    async def logging(scope: Scope, receive: Receive, send: Send) -> None:
        logger.info("within")
        assert current() is not None

    scope = {"type": "http", "method": "GET", "path": "/v1", "scheme": "http", "headers": []}
    logger.info("before")
    unused: Any = None
    await RequestTracing(logging, traces=Traces(tracer))(scope, unused, unused)
    before, within = (json.loads(line) for line in stream.getvalue().splitlines())
    assert before == {"event": "before"}
    place = tracer.spans[0].context
    assert (within["trace_id"], within["span_id"]) == (place.trace_id, place.span_id)
