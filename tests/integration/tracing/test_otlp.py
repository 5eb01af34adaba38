"""The exporter against a real receiver of OTLP over HTTP, which reads the protobuf."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.trace_receiver import TraceReceiver, trace_receiver, until

from hakoiri.tracing import spans
from hakoiri.tracing.exporting import Tracing, open_tracing
from hakoiri.tracing.launch import TracingLaunch
from hakoiri.tracing.tally import TellState
from hakoiri.tracing.trace_context import TraceContext

pytestmark = pytest.mark.anyio

SECRET = "planted-trace-secret"
CALLER = TraceContext("a" * 32, "b" * 16)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def receiver() -> Iterator[TraceReceiver]:
    with trace_receiver() as made:
        yield made


def opened(receiver: TraceReceiver, *, tell_state: TellState = lambda _: None, **more: Any) -> Any:
    launch = TracingLaunch(
        **{
            "endpoint": f"{receiver.endpoint}/v1/traces",
            "instance": "i1",
            "interval_s": 0.05,
            "timeout_s": 0.5,
            **more,
        }
    )
    return open_tracing(launch, service="hakoiri-test", version="9", tell_state=tell_state)


def make(tracing: Tracing, number: int = 1) -> None:
    for _ in range(number):
        with spans.root(tracing.tracer, "turn"):
            pass


async def test_a_trace_arrives_whole_with_who_made_it(receiver: TraceReceiver) -> None:
    headers = {"authorization": f"Bearer {SECRET}"}
    async with opened(receiver, headers=headers) as tracing:
        with spans.root(tracing.tracer, "request", kind="server", link=CALLER) as request:
            request.rename("GET /v1/x")
            with spans.span("turn", attributes={"hakoiri.turn": 3}) as turn:
                turn.fail("agent-silent")
    first, below = sorted(receiver.spans, key=lambda span: span.parent_id)
    assert (first.name, first.kind, first.service) == ("GET /v1/x", "server", "hakoiri-test")
    assert first.links == (f"{CALLER.trace_id}-{CALLER.span_id}",)
    assert (below.trace_id, below.parent_id) == (first.trace_id, first.span_id)
    assert below.has_failed
    assert below.told == {"hakoiri.turn": 3, "error.type": "agent-silent"}
    assert first.resource == {
        "service.namespace": "hakoiri",
        "service.name": "hakoiri-test",
        "service.version": "9",
        "service.instance.id": "i1",
    }
    assert receiver.headers[0]["authorization"] == f"Bearer {SECRET}"
    assert SECRET.encode() not in b"".join(receiver.raw)


async def test_a_span_of_another_process_is_gone_on_with_at_its_own_times(
    receiver: TraceReceiver,
) -> None:
    async with opened(receiver) as tracing:
        span = tracing.tracer.start(
            "chat", kind="client", parent=CALLER, is_remote=True, start_ns=7
        )
        assert span is not None
        span.end(end_ns=9)
        unsampled = TraceContext(CALLER.trace_id, CALLER.span_id, is_sampled=False)
        assert tracing.tracer.start("chat", parent=unsampled) is None
    [chat] = receiver.spans
    assert (chat.trace_id, chat.parent_id) == (CALLER.trace_id, CALLER.span_id)
    assert (chat.started_ns, chat.ended_ns, chat.kind) == (7, 9, "client")


async def test_values_and_their_number_have_bounds(receiver: TraceReceiver) -> None:
    async with opened(receiver) as tracing:
        with spans.root(tracing.tracer, "n" * 1000) as span:
            for number in range(100):
                span.set(f"a{number}", "v" * 10_000)
    [found] = receiver.spans
    assert (len(found.name), len(found.told)) == (128, 32)
    assert {len(value) for value in found.told.values()} == {256}


async def test_a_part_of_the_traces_is_recorded_each_whole(receiver: TraceReceiver) -> None:
    async with opened(receiver, ratio=0) as tracing:
        make(tracing, 50)
        assert tracing.tracer.start("chat", parent=CALLER) is not None, "the server decides"
    assert receiver.spans == []
    async with opened(receiver, ratio=0.5) as tracing:
        for _ in range(400):
            with spans.root(tracing.tracer, "request"), spans.span("turn"):
                pass
    by_name = {name: sum(s.name == name for s in receiver.spans) for name in ("request", "turn")}
    assert 100 < by_name["request"] < 300
    assert by_name["request"] == by_name["turn"]


async def test_a_receiver_that_is_away_is_told_of_once_and_counted(
    receiver: TraceReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    states: list[bool] = []
    receiver.status = 400
    with caplog.at_level(logging.DEBUG):
        async with opened(receiver, tell_state=states.append) as tracing:
            for number in range(1, 4):
                make(tracing)
                receiver.wait_for_requests(number)
            until(lambda: tracing.tally.counts()["failed"] == 3)
            assert (states, tracing.tally.is_failing) == ([False], True)
            receiver.status = 200
            make(tracing)
            until(lambda: tracing.tally.counts()["exported"] == 1)
            assert (states, tracing.tally.is_failing) == ([False, True], False)
    assert "export" not in caplog.text.lower(), "the library says nothing of its own"


async def test_a_receiver_that_sends_elsewhere_has_taken_nothing(receiver: TraceReceiver) -> None:
    receiver.status = 307
    async with opened(receiver) as tracing:
        make(tracing)
        until(lambda: tracing.tally.counts()["failed"] == 1)
    assert tracing.tally.counts()["exported"] == 0
    assert receiver.requests == 1, "and is not followed"


async def test_spans_beyond_the_queue_are_dropped_and_who_makes_them_does_not_wait(
    receiver: TraceReceiver,
) -> None:
    receiver.answers.clear()
    async with opened(receiver, queue_limit=16, timeout_s=20) as tracing:
        make(tracing, 1000)
        assert tracing.tally.waiting == 16
        assert tracing.tally.counts()["dropped"] == 984
        receiver.answers.set()
    assert len(receiver.spans) == 16


async def test_the_end_waits_for_a_receiver_that_hangs_no_longer_than_it_may(
    receiver: TraceReceiver,
) -> None:
    receiver.answers.clear()
    launch = TracingLaunch(
        endpoint=f"{receiver.endpoint}/v1/traces", instance="i1", timeout_s=60, interval_s=0.05
    )
    began_s = time.monotonic()
    async with open_tracing(
        launch, service="s", version="9", tell_state=lambda _: None, close_timeout_s=0.2
    ) as tracing:
        assert tracing is not None
        make(tracing)
    assert time.monotonic() - began_s < 30, "far less than the receiver was given"
    names = {thread.name for thread in threading.enumerate() if not thread.daemon}
    assert "close tracing" not in names


async def test_variables_of_the_environment_have_no_say(
    receiver: TraceReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-planted=1"),
        ("OTEL_RESOURCE_ATTRIBUTES", "planted=1"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "1"),
        ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("http_proxy", "http://127.0.0.1:9"),
    ):
        monkeypatch.setenv(name, value)
    async with opened(receiver) as tracing:
        with spans.root(tracing.tracer, "turn", attributes={"a": "long"}):
            pass
    [turn] = receiver.spans
    assert turn.told == {"a": "long"}
    assert "planted" not in turn.resource
    assert "x-planted" not in receiver.headers[0]


@pytest.mark.parametrize("module", ["hakoiri.host.main", "hakoiri.credential_proxy.__main__"])
def test_where_nothing_is_traced_nothing_of_it_is_loaded(module: str) -> None:
    code = (
        f"import sys, {module}\n"
        "slow = ('opentelemetry.sdk', 'opentelemetry.exporter', 'google.protobuf', 'requests')\n"
        "print([name for name in sys.modules if name.startswith(slow)])\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert answer.stdout.strip() == "[]"
