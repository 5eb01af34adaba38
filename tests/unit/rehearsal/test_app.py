import base64
import json
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from starlette.types import ASGIApp
from tests.unit.rehearsal.callers import KEY, NOW, Answer, call, signed

from hakoiri.rehearsal.app import Identities, Rehearsal, create_app
from hakoiri.rehearsal.journal import TEXT_LIMIT_CHARS, Journal
from hakoiri.rehearsal.messages import BODY_LIMIT_BYTES
from hakoiri.rehearsal.script import read_script
from hakoiri.rehearsal.signature import ReceivedRequest

API_KEY = "planted-api-key"
TOOLS = [{"name": "Bash"}]
SCRIPT = """
scenes:
  - name: default
    replies:
      - {say: I look, use: [{tool: Bash, input: {command: ls}}], delay_s: 2}
      - {say: "It is {{last_tool_result}}"}
  - {when: busy, replies: [{say: at last, error: {status: 529, times: 2}}]}
  - {when: broken, replies: [{say: whole, error: {status: 429, times: 1, after_deltas: 0}}]}
  - {when: cut, replies: [{say: whole, cut_after: 0}]}
"""
MODEL = "us.anthropic.claude-x-v1:0"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def no_sleep(_seconds: float) -> None:
    return


def build(**identities: Any) -> ASGIApp:
    numbers = count()
    journal = Journal()
    rehearsal = Rehearsal(
        script=read_script(SCRIPT, source="x.yaml"),
        identities=Identities(**{"signing_key": KEY, "api_key": API_KEY, **identities}),
        journal=journal,
        now=lambda: NOW,
        sleep=no_sleep,
        new_id=lambda prefix: f"{prefix}{next(numbers)}",
    )
    return create_app(rehearsal=rehearsal, journal=journal)


@pytest.fixture
def app() -> ASGIApp:
    return build()


def ask(text: str, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"messages": messages, "max_tokens": 10, "tools": TOOLS, **fields}


def anthropic(body: Any, *, path: str = "/v1/messages", key: str = API_KEY) -> ReceivedRequest:
    raw = body if isinstance(body, bytes) else json.dumps({"model": "m", **body}).encode()
    headers = [("host", "api.test"), ("anthropic-version", "2023-06-01"), ("x-api-key", key)]
    return ReceivedRequest("POST", path, "beta=true", headers, raw)


def bedrock(body: dict[str, Any], *, verb: str = "invoke") -> ReceivedRequest:
    raw = json.dumps({"anthropic_version": "bedrock-2023-05-31", **body}).encode()
    return signed(f"/model/{MODEL.replace(':', '%3A')}/{verb}", body=raw)


def get(path: str) -> ReceivedRequest:
    return ReceivedRequest("GET", path, "", [("host", "127.0.0.1")], b"")


async def journal_of(app: ASGIApp) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((await call(app, get("/_rehearsal/requests"))).body)[
        "requests"
    ]
    return entries


def chunks(answer: Answer) -> list[Any]:
    buffer = EventStreamBuffer()
    buffer.add_data(answer.body)
    return [json.loads(base64.b64decode(json.loads(m.payload)["bytes"])) for m in buffer]


@pytest.mark.anyio
async def test_anthropic_answers_whole_or_streamed_as_asked(app: ASGIApp) -> None:
    whole = await call(app, anthropic(ask("hi")))
    assert json.loads(whole.body)["stop_reason"] == "tool_use"
    assert whole.headers["content-type"] == "application/json"
    streamed = await call(app, anthropic(ask("hi", stream=True)))
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert b"event: message_stop" in streamed.body


@pytest.mark.anyio
async def test_bedrock_answers_whole_or_in_frames_by_its_path(app: ASGIApp) -> None:
    whole = json.loads((await call(app, bedrock(ask("hi")))).body)
    assert whole["model"] == MODEL
    assert whole["content"][1]["name"] == "Bash"
    answer = await call(app, bedrock(ask("hi"), verb="invoke-with-response-stream"))
    assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
    assert [event["type"] for event in chunks(answer)][-1] == "message_stop"


@pytest.mark.anyio
async def test_the_second_request_of_a_turn_gets_the_second_reply(app: ASGIApp) -> None:
    history = [
        *ask("hi")["messages"],
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "Bash"}]},
        {"role": "user", "content": [{"type": "tool_result", "content": "sunny"}]},
    ]
    answer = await call(app, bedrock(ask("", messages=history)))
    assert json.loads(answer.body)["content"] == [{"type": "text", "text": "It is sunny"}]


@pytest.mark.anyio
async def test_a_failure_ends_after_its_times_and_is_recorded(app: ASGIApp) -> None:
    statuses = [(await call(app, anthropic(ask("busy")))).status for _ in range(4)]
    assert statuses == [529, 529, 200, 529]
    seen = [(entry["attempt"], entry["status"]) for entry in await journal_of(app)]
    assert seen == [(0, 529), (1, 529), (2, 200), (0, 529)]


@pytest.mark.anyio
async def test_a_stream_that_failed_inside_is_whole_when_asked_again(app: ASGIApp) -> None:
    first = await call(app, anthropic(ask("broken", stream=True)))
    assert b"event: error" in first.body
    again = await call(app, anthropic(ask("broken")))
    assert json.loads(again.body)["content"][0]["text"] == "whole"


@pytest.mark.anyio
async def test_a_cut_closes_streams_and_whole_answers_alike(app: ASGIApp) -> None:
    assert not (await call(app, anthropic(ask("cut", stream=True)))).ended
    assert not (await call(app, bedrock(ask("cut")))).ended


@pytest.mark.anyio
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("x-api-key", "wrong")],
        [("x-api-key", "")],
        [("authorization", f"Bearer {API_KEY}")],
        [("x-api-key", API_KEY), ("x-api-key", API_KEY)],
    ],
)
async def test_anthropic_refuses_any_other_key(
    app: ASGIApp, headers: list[tuple[str, str]]
) -> None:
    answer = await call(app, replace(anthropic(ask("hi")), headers=headers))
    assert answer.status == 401
    assert json.loads(answer.body)["error"]["type"] == "authentication_error"
    (entry,) = await journal_of(app)
    assert (entry["status"], entry["verdict"]) == (401, "invalid x-api-key")


@pytest.mark.anyio
async def test_bedrock_refuses_what_is_wrongly_signed_and_says_why(app: ASGIApp) -> None:
    request = bedrock(ask("hi"))
    answer = await call(app, replace(request, body=request.body + b" "))
    assert answer.status == 403
    assert answer.headers["x-amzn-errortype"] == "InvalidSignatureException"
    assert "signature" in json.loads(answer.body)["message"]
    (entry,) = await journal_of(app)
    assert entry["verdict"].startswith("InvalidSignatureException")
    assert entry["identity"] == "AKIDEXAMPLE"


@pytest.mark.anyio
async def test_a_long_reason_is_shortened_in_the_journal(app: ASGIApp) -> None:
    request = bedrock(ask("hi"))
    long = ("x-amz-" + "x" * 50_000, "1")
    assert (await call(app, replace(request, headers=[*request.headers, long]))).status == 403
    (entry,) = await journal_of(app)
    assert len(entry["verdict"]) == TEXT_LIMIT_CHARS


@pytest.mark.anyio
async def test_a_provider_without_a_credential_lets_nobody_in() -> None:
    assert (await call(build(signing_key=None), bedrock(ask("hi")))).status == 403
    assert (await call(build(api_key=None), anthropic(ask("hi")))).status == 401
    assert (await call(build(api_key=None), anthropic(ask("hi"), key=""))).status == 401


@pytest.mark.anyio
async def test_the_journal_tells_what_came_and_holds_no_secret(app: ASGIApp) -> None:
    await call(app, bedrock(ask("hi there"), verb="invoke-with-response-stream"))
    await call(app, anthropic(ask("hi")))
    signed_entry, keyed_entry = await journal_of(app)
    assert signed_entry == {
        "time": "2026-03-04T05:06:07Z",
        "method": "POST",
        "path": "/model/us.anthropic.claude-x-v1%3A0/invoke-with-response-stream",
        "host": "bedrock-runtime.us-east-1.amazonaws.test",
        "provider": "bedrock",
        "operation": "stream",
        "model": MODEL,
        "identity": "AKIDEXAMPLE",
        "verdict": "valid",
        "user_text": "hi there",
        "user_texts": ["hi there"],
        "scene": "default",
        "reply": 0,
        "attempt": 0,
        "status": 200,
    }
    assert keyed_entry["identity"] == "api-key"
    assert "planted" not in json.dumps([signed_entry, keyed_entry])
    assert "planted" not in repr(Identities(signing_key=KEY, api_key=API_KEY))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "body"),
        ({"messages": [], "max_tokens": 1}, "messages"),
        (ask("hi", max_tokens=None), "max_tokens"),
        (ask("hi", model=None), "model"),
    ],
)
async def test_anthropic_refuses_a_bad_body_naming_the_field(
    app: ASGIApp, body: Any, field: str
) -> None:
    answer = await call(app, anthropic(body))
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["message"].startswith(field)


@pytest.mark.anyio
async def test_anthropic_wants_its_version_header(app: ASGIApp) -> None:
    request = anthropic(ask("hi"))
    bare = [pair for pair in request.headers if pair[0] != "anthropic-version"]
    assert (await call(app, replace(request, headers=bare))).status == 400


@pytest.mark.anyio
@pytest.mark.parametrize("field", [{"model": "m"}, {"stream": True}, {"anthropic_version": "x"}])
async def test_bedrock_refuses_fields_that_the_real_one_refuses(
    app: ASGIApp, field: dict[str, Any]
) -> None:
    answer = await call(app, bedrock(ask("hi", **field)))
    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"] == "ValidationException"
    assert json.loads(answer.body)["message"].startswith(next(iter(field)))


@pytest.mark.anyio
async def test_tokens_are_counted_without_a_reply(app: ASGIApp) -> None:
    body = {"messages": ask("hi")["messages"]}
    answer = await call(app, anthropic(body, path="/v1/messages/count_tokens"))
    assert json.loads(answer.body)["input_tokens"] > 0


@pytest.mark.anyio
async def test_the_list_of_inference_profiles_is_empty_and_wants_a_signature(app: ASGIApp) -> None:
    query = "type=SYSTEM_DEFINED"
    request = signed("/inference-profiles", query, b"", method="GET")
    answer = await call(app, request)
    assert json.loads(answer.body) == {"inferenceProfileSummaries": []}
    assert (await call(app, get("/inference-profiles"))).status == 403


@pytest.mark.anyio
async def test_a_body_at_the_limit_passes_and_one_byte_more_is_refused(app: ASGIApp) -> None:
    body = json.dumps({"model": "m", **ask("hi")}).encode()
    full = body + b" " * (BODY_LIMIT_BYTES - len(body))
    assert (await call(app, anthropic(full), body_pieces=3)).status == 200
    answer = await call(app, anthropic(full + b" "), body_pieces=3)
    assert answer.status == 413
    assert json.loads(answer.body)["error"]["type"] == "request_too_large"
    assert [entry["verdict"] for entry in await journal_of(app)] == ["valid", "not checked"]


@pytest.mark.anyio
async def test_an_unknown_operation_is_refused_after_the_credentials(app: ASGIApp) -> None:
    assert (await call(app, anthropic(ask("hi"), path="/v1/models"))).status == 404
    assert (await call(app, anthropic(ask("hi"), path="/v1/models", key="x"))).status == 401
    assert (await call(app, signed("/model/m/converse"))).status == 404
    assert (await call(app, get("/anything"))).status == 403
    verdicts = [entry["verdict"] for entry in await journal_of(app)]
    assert verdicts[0] == verdicts[2] == "valid"
    assert "valid" not in (verdicts[1], verdicts[3])


@pytest.mark.anyio
async def test_health_says_that_this_is_a_rehearsal(app: ASGIApp) -> None:
    answer = await call(app, get("/_rehearsal/health"))
    assert json.loads(answer.body) == {"status": "ok", "rehearsal": True}
