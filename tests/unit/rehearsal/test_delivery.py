import json
from itertools import count
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from starlette.responses import JSONResponse, Response
from tests.unit.rehearsal.callers import Answer, call

from hakoiri.rehearsal.choice import Playback
from hakoiri.rehearsal.delivery import Delayed, refusal, scripted_refusal, streamed, whole
from hakoiri.rehearsal.routes import Provider
from hakoiri.rehearsal.script import Failure
from hakoiri.rehearsal.signature import ReceivedRequest

GET = ReceivedRequest("GET", "/", "", [], b"")
WORDS = "one two three four five six seven eight nine ten eleven twelve"  # three pieces


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Sleeper:
    """Records how long it was asked to sleep, and sleeps not at all."""

    def __init__(self) -> None:
        self.slept_s: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept_s.append(seconds)


def playback(**fields: Any) -> Playback:
    return Playback(**{"scene": "s", "reply_number": 0, "say": WORDS, **fields})


async def stream(
    played: Playback, *, provider: Provider = "anthropic", sleeper: Sleeper | None = None
) -> Answer:
    numbers = count()
    response = streamed(
        played,
        provider=provider,
        model="m",
        input_tokens=1,
        new_id=lambda prefix: f"{prefix}{next(numbers)}",
        sleep=sleeper or Sleeper(),
    )
    return await call(response, GET)


def sse_types(answer: Answer) -> list[str]:
    lines = answer.body.decode().splitlines()
    return [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]


def frames(answer: Answer) -> list[dict[str, str]]:
    buffer = EventStreamBuffer()
    buffer.add_data(answer.body)
    return [message.headers for message in buffer]


@pytest.mark.anyio
async def test_a_stream_ends_with_its_stop() -> None:
    answer = await stream(playback())
    assert sse_types(answer)[-1] == "message_stop"
    assert answer.ended
    assert answer.headers["content-type"].startswith("text/event-stream")


@pytest.mark.anyio
async def test_bedrock_gets_frames_without_pings() -> None:
    answer = await stream(playback(), provider="bedrock")
    assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
    sse = sse_types(await stream(playback()))
    assert len(frames(answer)) == len(sse) - sse.count("ping")


@pytest.mark.anyio
@pytest.mark.parametrize(("after", "pieces"), [(0, 0), (2, 2), (3, 3), (99, 3)])
async def test_a_cut_leaves_the_response_open_after_its_pieces(after: int, pieces: int) -> None:
    answer = await stream(playback(cut_after_deltas=after))
    assert sse_types(answer).count("content_block_delta") == pieces
    assert "message_stop" not in sse_types(answer)
    assert not answer.ended


@pytest.mark.anyio
async def test_a_failure_inside_the_stream_is_told_as_the_provider_does() -> None:
    failing = playback(failure=Failure(status=429, after_deltas=1))
    answer = await stream(failing)
    assert sse_types(answer)[-2:] == ["content_block_delta", "error"]
    assert "rate_limit_error" in answer.pieces[-2].decode()
    last = frames(await stream(failing, provider="bedrock"))[-1]
    assert last[":message-type"] == "exception"
    assert last[":exception-type"] == "throttlingException"


@pytest.mark.anyio
async def test_a_named_exception_keeps_its_name() -> None:
    failure = Failure(status=424, type="modelStreamErrorException", after_deltas=0)
    answer = await stream(playback(failure=failure), provider="bedrock")
    assert frames(answer)[-1][":exception-type"] == "modelStreamErrorException"


@pytest.mark.anyio
async def test_each_piece_waits_its_delay() -> None:
    sleeper = Sleeper()
    await stream(playback(delta_delay_s=0.5), sleeper=sleeper)
    assert sleeper.slept_s == [0.5, 0.5, 0.5]


@pytest.mark.anyio
async def test_a_late_reply_sleeps_before_its_first_byte() -> None:
    sleeper = Sleeper()
    answer = await call(Delayed(JSONResponse({}), delay_s=3, sleep=sleeper), GET)
    assert sleeper.slept_s == [3]
    assert answer.body == b"{}"
    await call(Delayed(JSONResponse({}), delay_s=0, sleep=sleeper), GET)
    assert sleeper.slept_s == [3]


@pytest.mark.anyio
async def test_a_cut_in_a_whole_reply_sends_half_of_what_it_announced() -> None:
    answer = await call(whole({"a": "b" * 50}, playback(cut_after_deltas=1)), GET)
    assert len(answer.body) == int(answer.headers["content-length"]) // 2
    assert not answer.ended
    assert (await call(whole({"a": 1}, playback()), GET)).ended


def told(response: Response) -> tuple[int, Any]:
    return response.status_code, json.loads(bytes(response.body))


def test_a_refusal_speaks_as_its_provider() -> None:
    assert told(refusal("anthropic", 401, "m")) == (
        401,
        {"type": "error", "error": {"type": "authentication_error", "message": "m"}},
    )
    bedrock = refusal("bedrock", 403, "m", kind="InvalidSignatureException")
    assert told(bedrock) == (403, {"message": "m"})
    assert bedrock.headers["x-amzn-errortype"] == "InvalidSignatureException"


def test_a_scripted_failure_may_ask_to_come_later() -> None:
    late = scripted_refusal("anthropic", Failure(status=529, retry_after_s=7))
    assert late.headers["retry-after"] == "7"
    assert told(late)[1]["error"]["type"] == "overloaded_error"
    assert "retry-after" not in scripted_refusal("bedrock", Failure(status=500)).headers
