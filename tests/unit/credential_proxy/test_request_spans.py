from dataclasses import replace

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.budgets.charge import Charged
from hakoiri.credential_proxy.budgets.usage import Usage
from hakoiri.credential_proxy.decision import Forward, Refuse, Upstream
from hakoiri.credential_proxy.decision_log import Outcome, Owner
from hakoiri.credential_proxy.model_path import ModelCall
from hakoiri.credential_proxy.request_spans import RequestSpans
from hakoiri.credential_proxy.span_allowance import SpanAllowance, TracedFor
from hakoiri.tracing.testing import MemoryTracer
from hakoiri.tracing.trace_context import TraceContext

TURN = TraceContext("a" * 32, "b" * 16)
NOW_NS = 1_000_000_000_000

CALL = ModelCall("bedrock", "/model/m/invoke-with-response-stream", "", "planted-model")
MODEL = Forward(
    route="model",
    method="POST",
    upstream=Upstream("https", Authority("bedrock.test", 443), CALL.path),
    headers=(("traceparent", "planted"),),
    rule="model:bedrock",
    call=CALL,
)
FILE = Forward(
    route="intercepted",
    method="GET",
    upstream=Upstream("https", Authority("planted.files.test", 443), "/planted", "planted=1"),
    headers=(),
    rule="*.files.test",
)


def owner(*, burst: int = 9) -> Owner:
    traced = TracedFor(TURN, SpanAllowance(burst=burst, per_s=0))
    return Owner(container="c", workspace="w", tenant="t", generation=1, traced=traced)


class World:
    def __init__(self) -> None:
        self.tracer = MemoryTracer()
        self.held_back = 0
        self.spans = RequestSpans(self.tracer, held_back=self._hold, now_ns=lambda: NOW_NS)

    def _hold(self) -> None:
        self.held_back += 1


def test_a_model_call_lies_below_the_turn_and_is_as_long_as_it_took() -> None:
    world = World()
    charged = Charged(Usage(10, 20, 3, 4), 5, is_told=True)
    outcome = Outcome(status=200, total_ms=250.0, dns_ms=1.5, charged=charged)
    place = world.spans.record(owner=owner(), method="POST", decision=MODEL, outcome=outcome)
    [span] = world.tracer.spans
    assert place == span.context
    assert (span.parent, span.is_remote, span.kind) == (TURN, True, "client")
    assert (span.start_ns, span.ended_ns) == (NOW_NS - 250_000_000, NOW_NS)
    assert (span.name, span.error) == ("chat", None)
    usage = charged.usage
    cached = usage.cache_read_tokens + usage.cache_write_tokens
    assert span.told == {
        "hakoiri.container.id": "c",
        "hakoiri.workspace.id": "w",
        "hakoiri.tenant": "t",
        "http.request.method": "POST",
        "hakoiri.route": "model",
        "hakoiri.rule": "model:bedrock",
        "http.response.status_code": 200,
        "gen_ai.provider.name": "aws.bedrock",
        "server.address": "bedrock.test",
        "server.port": 443,
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.input_tokens": usage.input_tokens + cached,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
        "hakoiri.phase.dns_ms": 1.5,
    }


def test_a_model_is_named_only_if_it_is_one_of_a_list() -> None:
    world = World()
    listed = replace(MODEL, is_model_listed=True)
    world.spans.record(owner=owner(), method="POST", decision=listed, outcome=Outcome())
    of_body = replace(MODEL, call=replace(CALL, model=None))
    named = Outcome(model="in-the-body")
    world.spans.record(owner=owner(), method="POST", decision=of_body, outcome=named)
    world.spans.record(owner=owner(), method="POST", decision=MODEL, outcome=Outcome())
    assert [span.name for span in world.tracer.spans] == [
        "chat planted-model",
        "chat in-the-body",
        "chat",
    ]
    told = [span.told.get("gen_ai.request.model") for span in world.tracer.spans]
    assert told == ["planted-model", "in-the-body", None]


def test_nothing_that_the_container_chose_is_told() -> None:
    world = World()
    for method, decision in (("GET", FILE), ("PLANTED", MODEL)):
        world.spans.record(owner=owner(), method=method, decision=decision, outcome=Outcome())
    refused = Refuse(403, "host-not-allowed", "planted", "egress", Authority("planted.test", 1))
    outcome = Outcome(status=403, reason="host-not-allowed")
    world.spans.record(owner=owner(), method="GET", decision=refused, outcome=outcome)
    outcome = Outcome(status=403, reason="planted")
    world.spans.record(owner=owner(), method="GET", decision=refused, outcome=outcome)
    assert "planted" not in repr([(s.name, s.told, s.error) for s in world.tracer.spans])
    assert [span.name for span in world.tracer.spans] == ["GET", "chat", "GET", "GET"]
    assert [span.error for span in world.tracer.spans[2:]] == ["host-not-allowed", "(other)"]
    assert world.tracer.spans[2].told["hakoiri.refused"] is True


def test_an_upstream_that_fails_is_an_error_by_its_status() -> None:
    world = World()
    for status in (200, 404, 529):
        outcome = Outcome(status=status)
        world.spans.record(owner=owner(), method="POST", decision=MODEL, outcome=outcome)
    assert [span.error for span in world.tracer.spans] == [None, "404", "529"]


def test_a_container_that_asks_too_much_is_counted_and_not_told() -> None:
    world, greedy = World(), owner(burst=2)
    places = [
        world.spans.record(owner=greedy, method="GET", decision=FILE, outcome=Outcome())
        for _ in range(5)
    ]
    assert (len(world.tracer.spans), world.held_back) == (2, 3)
    assert places[2:] == [TURN] * 3, "its lines belong to the turn all the same"


def test_without_a_trace_there_is_no_span() -> None:
    world = World()
    alone = Owner(container="c")
    assert world.spans.record(owner=alone, method="GET", decision=FILE, outcome=Outcome()) is None
    assert world.tracer.spans == []
