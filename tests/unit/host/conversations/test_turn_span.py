import pytest
from tests.unit.host.conversations.scripted import World

from hakoiri.host.conversations.failures import Ending
from hakoiri.host.conversations.model import StopReason
from hakoiri.host.conversations.turn_span import tell_ending
from hakoiri.tracing import spans
from hakoiri.tracing.testing import MemorySpan, MemoryTracer
from hakoiri.wire.events import Error, Result

pytestmark = pytest.mark.anyio


def told(data: Result | Error) -> MemorySpan:
    tracer = MemoryTracer()
    with spans.root(tracer, "turn") as span:
        tell_ending(span, Ending(data, is_container_sound=True))
    return tracer.named("turn")


def test_how_a_turn_ended_is_told_by_a_code_of_ours() -> None:
    assert told(Result(text="planted")).told == {"hakoiri.turn.result": "result"}
    failed = told(Error(code="container-lost", text="planted"))
    assert (failed.error, failed.told) == ("container-lost", {"hakoiri.turn.result": "error"})
    assert told(Error(code=StopReason.INTERRUPTED, text="x")).error == "interrupted"


def test_an_agent_cannot_write_into_a_trace_by_its_code() -> None:
    assert told(Error(code="planted-by-the-agent", text="planted")).error == "other"


async def test_a_turn_that_begins_by_itself_has_a_trace_of_its_own() -> None:
    tracer, world = MemoryTracer(), World()
    spans.allow_traces(tracer)
    async with world.service:
        conversation = await world.conversation()
        for text in ("one", "two"):
            await world.turn(conversation, text)
    first, second = [span for span in tracer.spans if span.name == "turn"]
    assert (first.parent, second.parent) == (None, None)
    assert first.context.trace_id != second.context.trace_id
    assert first.told["gen_ai.operation.name"] == "invoke_agent"
