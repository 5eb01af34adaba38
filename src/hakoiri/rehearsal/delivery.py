"""Sends a reply: whole or in pieces, late, broken or cut, as its script says."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from pydantic import JsonValue
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from hakoiri.rehearsal import anthropic_stream, event_stream, failures
from hakoiri.rehearsal.anthropic_stream import Event, NewId
from hakoiri.rehearsal.choice import Playback
from hakoiri.rehearsal.routes import Provider
from hakoiri.rehearsal.script import Failure

Sleep = Callable[[float], Awaitable[None]]


class Framing(Protocol):
    """How a provider puts events and failures into its stream."""

    media_type: str

    def event(self, event: Event) -> bytes:
        """The bytes of one event."""

    def failure(self, failure: Failure) -> bytes:
        """The bytes of a failure inside the stream."""


class SseFraming:
    """Anthropic's server-sent events."""

    media_type = "text/event-stream; charset=utf-8"

    def event(self, event: Event) -> bytes:
        """One SSE block."""
        return anthropic_stream.sse_block(event)

    def failure(self, failure: Failure) -> bytes:
        """The `error` event."""
        kind = failure.type or failures.anthropic_type(failure.status)
        return anthropic_stream.sse_block(failures.anthropic_body(kind, failure.message))


class EventStreamFraming:
    """Bedrock's event-stream frames."""

    media_type = event_stream.MEDIA_TYPE

    def event(self, event: Event) -> bytes:
        """One `chunk` frame; Bedrock passes no pings on."""
        return b"" if event["type"] == "ping" else event_stream.chunk_frame(event)

    def failure(self, failure: Failure) -> bytes:
        """One exception frame."""
        kind = failure.type or failures.stream_exception(failure.status)
        return event_stream.exception_frame(kind, failure.message)


FRAMINGS: Final[Mapping[Provider, Framing]] = {
    "anthropic": SseFraming(),
    "bedrock": EventStreamFraming(),
}


class CutError(Exception):
    """The script cuts the connection here."""


class CuttableResponse(StreamingResponse):
    """A stream that may end without its end, so that the peer sees a broken connection."""

    async def stream_response(self, send: Send) -> None:
        """Send all pieces; on `CutError` leave the response open, so that the server closes."""
        try:
            await super().stream_response(send)
        except CutError:
            return


class Delayed(Response):
    """Another response, after a pause before its first byte."""

    def __init__(self, response: Response, *, delay_s: float, sleep: Sleep) -> None:
        """Pause `delay_s` with `sleep`, then send `response`."""
        super().__init__(status_code=response.status_code)
        self._response = response
        self._delay_s = delay_s
        self._sleep = sleep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pause and send."""
        if self._delay_s:
            await self._sleep(self._delay_s)
        await self._response(scope, receive, send)


def refusal(
    provider: Provider, status: int, message: str, *, kind: str | None = None
) -> JSONResponse:
    """A failure as the whole answer, in the provider's words."""
    if provider == "anthropic":
        body = failures.anthropic_body(kind or failures.anthropic_type(status), message)
        return JSONResponse(body, status)
    return JSONResponse(
        failures.bedrock_body(message),
        status,
        headers={failures.AMZ_ERROR_TYPE: kind or failures.bedrock_type(status)},
    )


def scripted_refusal(provider: Provider, failure: Failure) -> JSONResponse:
    """The script's failure instead of a reply."""
    answer = refusal(provider, failure.status, failure.message, kind=failure.type)
    if failure.retry_after_s is not None:
        answer.headers["retry-after"] = str(failure.retry_after_s)
    return answer


def whole(message: Mapping[str, JsonValue], playback: Playback) -> Response:
    """The reply in one piece; a cut sends half of it."""
    body = json.dumps(message).encode()
    if playback.cut_after_deltas is None:
        return Response(body, media_type="application/json")

    async def half() -> AsyncIterator[bytes]:
        yield body[: len(body) // 2]
        raise CutError

    return CuttableResponse(
        half(), media_type="application/json", headers={"content-length": str(len(body))}
    )


def streamed(
    playback: Playback,
    *,
    provider: Provider,
    model: str,
    input_tokens: int,
    new_id: NewId,
    sleep: Sleep,
) -> Response:
    """The reply as the provider's stream."""
    framing = FRAMINGS[provider]
    events = anthropic_stream.message_events(
        playback, model=model, input_tokens=input_tokens, new_id=new_id
    )
    return CuttableResponse(
        _pieces(events, playback, framing=framing, sleep=sleep),
        media_type=framing.media_type,
        headers={"cache-control": "no-cache"},
    )


async def _pieces(
    events: Sequence[Event], playback: Playback, *, framing: Framing, sleep: Sleep
) -> AsyncIterator[bytes]:
    """Frames of `events`, with the reply's pauses between its pieces, up to its fault."""
    failure = playback.failure
    cut_at = _fault_index(events, playback.cut_after_deltas)
    failure_at = _fault_index(events, failure.after_deltas if failure else None)
    for index, event in enumerate(events):
        if index == cut_at:
            raise CutError
        if failure is not None and index == failure_at:
            yield framing.failure(failure)
            return
        if playback.delta_delay_s and event["type"] == "content_block_delta":
            await sleep(playback.delta_delay_s)
        if frame := framing.event(event):
            yield frame


def _fault_index(events: Sequence[Event], after_deltas: int | None) -> int | None:
    """The event in whose place a fault comes: after so many pieces, at the latest at the end."""
    if after_deltas is None:
        return None
    pieces = [i for i, event in enumerate(events) if event["type"] == "content_block_delta"]
    return pieces[after_deltas] if after_deltas < len(pieces) else len(events) - 1
