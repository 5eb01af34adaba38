"""One trace from the request to the model's calls, as a collector gets it."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import Hakoiri, data_of, hakoiri
from tests.e2e.scripts import RUN
from tests.engine import TestEngine
from tests.trace_receiver import ReceivedSpan, TraceReceiver, trace_receiver, until

from hakoiri.cli.demo.server_process import free_port
from hakoiri.wire.sse import SseDecoder

pytestmark = [pytest.mark.engine, pytest.mark.root]

TOKEN = "planted-collector-token"
CALLER = ("c" * 32, "d" * 16)
BOX = ("e" * 32, "f" * 16)
MODEL_CALL = (
    "curl -sS -o /dev/null -D - http://127.0.0.1:3128/model/planted-model/invoke"
    f" -H 'traceparent: 00-{BOX[0]}-{BOX[1]}-01' -H 'tracestate: planted=1' -H 'baggage: planted=1'"
    ' -H \'Content-Type: application/json\' -d \'{"anthropic_version": "bedrock-2023-05-31",'
    ' "max_tokens": 9, "messages": [{"role": "user", "content": "planted words"}]}\''
)


@dataclass(frozen=True, slots=True)
class Traced:
    server: Hakoiri
    receiver: TraceReceiver

    def turn(self, conversation: str, text: str) -> list[dict[str, Any]]:
        """Send a message as a caller with a trace of his own would; return the turn's events."""
        url = f"http://127.0.0.1:{self.server.server.port}/v1/conversations/{conversation}/messages"
        said = subprocess.run(
            [
                *("curl", "--no-buffer", "--silent", "--show-error", "--max-time", "120", url),
                *("--header", "Accept: text/event-stream"),
                *("--header", "Content-Type: application/json"),
                *("--header", f"traceparent: 00-{CALLER[0]}-{CALLER[1]}-01"),
                *("--data", json.dumps({"text": text})),
            ],
            check=True,
            capture_output=True,
        ).stdout
        blocks = SseDecoder(line_limit_bytes=10_000_000).feed(said)
        return [json.loads(block.data) for block in blocks if block.data]

    def trace_of(self, conversation: str, turn: int, *, calls: int = 1) -> list[ReceivedSpan]:
        """Wait for the turn and the request that it belongs to; return all of their trace.

        `calls` of the model are waited for: the proxy's spans may come in several batches.
        """

        def root(spans: list[ReceivedSpan]) -> ReceivedSpan | None:
            for span in spans:
                told = span.told
                is_it = told.get("hakoiri.turn") == turn
                if is_it and told.get("gen_ai.conversation.id") == conversation:
                    return next((one for one in spans if one.span_id == span.parent_id), None)
            return None

        spans = self.receiver.wait(lambda spans: root(spans) is not None)
        request = root(spans)
        assert request is not None

        def has_asked(spans: list[ReceivedSpan]) -> bool:
            found = [span for span in spans if span.trace_id == request.trace_id]
            return sum(span.name == "chat" for span in found) >= calls

        self.receiver.wait(has_asked)  # what the proxy made meanwhile comes by a way of its own
        return [span for span in self.receiver.spans if span.trace_id == request.trace_id]


@pytest.fixture(scope="module")
def traced(
    engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Traced]:
    root = tmp_path_factory.mktemp("traced")
    headers = root / "headers.toml"
    headers.write_text(f'authorization = "Bearer {TOKEN}"\n')
    headers.chmod(0o600)
    with (
        trace_receiver() as receiver,
        hakoiri(
            root,
            docker_host=engine.docker_host,
            script=RUN,
            settings={
                "HAKOIRI_CONTAINER__IMAGE": image,
                "HAKOIRI_CONTAINER__PAUSE_AFTER_S": "1",
                "HAKOIRI_TRACING__ENDPOINT": receiver.endpoint,
                "HAKOIRI_TRACING__INTERVAL_S": "0.5",
                "HAKOIRI_TRACING__HEADERS_FILE": str(headers),
            },
        ) as server,
    ):
        yield Traced(server, receiver)
    sent = b"".join(receiver.raw)
    assert receiver.headers[0]["authorization"] == f"Bearer {TOKEN}"
    # messages, file names, a model's name, headers of the box, the token: all begin so
    assert b"planted" not in sent
    assert server.server.log.read_text(errors="replace").count(TOKEN) == 0
    for number in BOX:
        assert bytes.fromhex(number) not in sent, "a box has no say in ids"


def named(trace: list[ReceivedSpan], name: str) -> ReceivedSpan:
    [found] = [span for span in trace if span.name == name]
    return found


def test_a_cold_turn_is_one_trace_from_the_request_to_the_model_and_the_files(
    traced: Traced,
) -> None:
    conversation = traced.server.conversation()
    events = traced.turn(conversation, "run: echo planted words > planted-name.txt")
    assert events[-1]["type"] == "result"
    trace = traced.trace_of(conversation, 1, calls=2)
    request = named(trace, "POST /v1/conversations/{conversation_id}/messages")
    assert (request.parent_id, request.kind, request.service) == ("", "server", "hakoiri-server")
    assert request.trace_id != CALLER[0], "a caller does not choose the trace"
    assert request.links == ("-".join(CALLER),)
    turn = named(trace, "turn")
    assert turn.parent_id == request.span_id
    claim = named(trace, "claim")
    assert (claim.parent_id, claim.told["hakoiri.claim.start"]) == (turn.span_id, "cold")
    start = named(trace, "container start")
    assert start.parent_id == claim.span_id
    for name in ("guard make box", "guard create", "guard start"):
        assert named(trace, name).parent_id == start.span_id
    binds = [span.parent_id for span in trace if span.name == "proxy bind"]
    assert binds == [claim.span_id, turn.span_id], "put below the turn, and taken away again"
    assert named(trace, "converse").parent_id == turn.span_id
    saves = [span for span in trace if span.name == "save"]
    assert turn.span_id in {save.parent_id for save in saves}
    asked = [span for span in trace if span.service == "hakoiri-proxy"]
    assert {(span.parent_id, span.kind) for span in asked} == {(turn.span_id, "client")}
    calls = [span for span in asked if span.name == "chat"]
    assert len(calls) >= 2, "the tool's use, and what came of it"
    for call in calls:
        assert (call.told["gen_ai.operation.name"], call.told["hakoiri.route"]) == ("chat", "model")
        assert call.told["gen_ai.usage.output_tokens"] > 0
        assert turn.started_ns < call.started_ns < call.ended_ns < turn.ended_ns
    assert not any(span.has_failed for span in trace if span not in asked or span in calls)
    page = traced.server.api.download("/metrics").decode()
    for prefix in ("hakoiri_trace", "hakoiri_proxy_trace"):
        exported = f'{prefix}_spans_total{{result="exported"}} '
        [line] = [line for line in page.splitlines() if line.startswith(exported)]
        assert float(line.removeprefix(exported)) > 0
        assert f"{prefix}_export_failing 0.0" in page


def test_what_a_box_sends_of_traces_changes_nothing_and_it_learns_of_none(
    traced: Traced,
) -> None:
    conversation = traced.server.conversation()
    events = traced.turn(
        conversation, f"run: {MODEL_CALL}; env; cat /proc/1/environ | tr '\\0' ' '"
    )
    trace = traced.trace_of(conversation, 1)
    turn = named(trace, "turn")
    lines = [
        line
        for line in traced.server.server_log("proxy_request_allowed")
        if "planted-model" in line["path"]
    ]
    [line] = lines
    assert line["trace_id"] == turn.trace_id
    traced.receiver.wait(lambda spans: any(span.span_id == line["span_id"] for span in spans))
    [call] = [span for span in traced.receiver.spans if span.span_id == line["span_id"]]
    assert (call.trace_id, call.parent_id) == (turn.trace_id, turn.span_id)
    seen = json.dumps(events)
    assert "HTTP/1.1" in seen, "the box got an answer, with its head"
    for span in trace:
        assert span.trace_id not in seen
        assert span.span_id not in seen


def test_the_next_turn_is_a_trace_of_its_own_whose_calls_are_its_own(traced: Traced) -> None:
    conversation = traced.server.conversation()
    events = traced.turn(conversation, "planted one")
    container = data_of(events, "turn_started")[0]["container"]
    until(lambda: traced.server.inspect(f"hakoiri-{container}")["State"]["Paused"])
    assert traced.turn(conversation, "planted two")[-1]["type"] == "result"
    first, second = (traced.trace_of(conversation, number) for number in (1, 2))
    claim = named(second, "claim")
    assert claim.told["hakoiri.claim.start"] == "live"
    assert named(second, "guard thaw").parent_id == claim.span_id
    for trace in (first, second):
        turn = named(trace, "turn")
        calls = [span for span in trace if span.service == "hakoiri-proxy"]
        assert {call.parent_id for call in calls} == {turn.span_id}
        assert all(call.ended_ns < turn.ended_ns for call in calls)


def test_without_its_receiver_a_turn_is_as_it_was(
    engine: TestEngine, image: str, tmp_path: Path
) -> None:
    with hakoiri(
        tmp_path,
        docker_host=engine.docker_host,
        script=RUN,
        settings={
            "HAKOIRI_CONTAINER__IMAGE": image,
            "HAKOIRI_TRACING__ENDPOINT": f"http://127.0.0.1:{free_port()}",
            "HAKOIRI_TRACING__INTERVAL_S": "0.5",
            "HAKOIRI_TRACING__TIMEOUT_S": "0.5",
        },
    ) as server:
        conversation = server.conversation()
        for text in ("run: echo as ever", "hello"):
            events = server.turn(conversation, text)
            assert events[-1]["type"] == "result"
        assert data_of(events, "result")[0]["text"] == "You said: hello"

        def lost(prefix: str) -> bool:
            page = server.api.download("/metrics").decode()
            return f"{prefix}_export_failing 1.0" in page

        until(lambda: lost("hakoiri_trace") and lost("hakoiri_proxy_trace"))
        assert len(server.server_log("trace_export_failing")) == 1
    log = server.server.log.read_text(errors="replace")
    assert log.count("hakoiri proxy: tracing: spans are lost") == 1
    assert "Traceback" not in log
