import asyncio

import anyio
import pytest

from hakoiri.tracing import names, spans
from hakoiri.tracing.testing import MemoryTracer
from hakoiri.tracing.trace_context import TraceContext

pytestmark = pytest.mark.anyio

CALLER = TraceContext("a" * 32, "b" * 16)


async def test_without_a_tracer_nothing_is_traced() -> None:
    with spans.span("one") as one, spans.trace("two") as two:
        one.set("a", 1)
        one.rename("x")
        two.fail("x")
        assert spans.current() is None
        assert spans.carried() is None


async def test_where_a_trace_may_begin_a_span_alone_begins_none() -> None:
    tracer = MemoryTracer()
    spans.allow_traces(tracer)
    with spans.span("background"):
        pass
    assert tracer.spans == []
    with spans.trace("turn"):
        pass
    assert [span.name for span in tracer.spans] == ["turn"]


async def test_spans_lie_below_the_one_they_run_in_also_in_tasks() -> None:
    tracer = MemoryTracer()

    async def save() -> None:
        with spans.span("save"):
            await asyncio.sleep(0)

    with spans.root(tracer, "request", kind="server"):
        async with anyio.create_task_group() as group:
            with spans.trace("turn", carries=True):
                group.start_soon(save)
                with spans.span("claim"):
                    pass
    request, turn = tracer.named("request"), tracer.named("turn")
    assert (request.parent, request.is_remote) == (None, False)
    assert turn.parent == request.context
    assert tracer.named("claim").parent == turn.context
    assert tracer.named("save").parent == turn.context
    assert len({span.context.trace_id for span in tracer.spans}) == 1
    assert all(span.ended_ns is not None for span in tracer.spans)


async def test_what_goes_with_a_container_is_the_turn_not_what_runs_in_it() -> None:
    tracer = MemoryTracer()
    with spans.root(tracer, "request"):
        assert spans.carried() == tracer.named("request").context.traceparent
        with spans.span("turn", carries=True), spans.span("claim"):
            assert spans.carried() == tracer.named("turn").context.traceparent
            assert spans.current() == tracer.named("claim").context
        assert spans.carried() == tracer.named("request").context.traceparent


async def test_of_a_trace_that_is_not_recorded_nothing_begins() -> None:
    tracer = MemoryTracer(records=False)
    spans.allow_traces(tracer)
    with spans.root(tracer, "request"):
        tracer.records = True
        with spans.trace("turn"), spans.span("claim"):
            assert spans.current() is None
    assert tracer.spans == []
    with spans.trace("turn"):
        assert spans.current() is not None


async def test_a_failure_is_told_by_its_kind_and_never_by_its_words() -> None:
    tracer = MemoryTracer()
    with (
        pytest.raises(ValueError, match="planted"),
        spans.root(tracer, "request"),
        spans.span("claim"),
    ):
        raise ValueError("planted")
    assert tracer.named("claim").error == "ValueError"
    assert "planted" not in repr(tracer.spans)


async def test_who_is_cancelled_has_not_failed() -> None:
    tracer = MemoryTracer()
    with spans.root(tracer, "request"), anyio.move_on_after(0), spans.span("wait"):
        await anyio.sleep_forever()
    waited = tracer.named("wait")
    assert (waited.error, waited.told) == (None, {names.IS_CANCELLED: True})


async def test_a_decorated_function_is_a_span_and_returns_what_it_returns() -> None:
    tracer = MemoryTracer()

    @spans.spanned("work", kind="client")
    async def work(value: int) -> int:
        return value + 1

    assert await work(1) == 2
    with spans.root(tracer, "request"):
        assert await work(2) == 3
    assert tracer.named("work").kind == "client"


async def test_a_root_goes_on_with_a_caller_or_links_to_him() -> None:
    tracer = MemoryTracer()
    with spans.root(tracer, "trusted", parent=CALLER), spans.root(tracer, "other", link=CALLER):
        pass
    trusted, other = tracer.named("trusted"), tracer.named("other")
    assert (trusted.parent, trusted.is_remote) == (CALLER, True)
    assert (other.parent, other.link) == (None, CALLER)
    assert other.context.trace_id != CALLER.trace_id
