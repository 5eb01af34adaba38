"""The rehearsal's HTTP face: authenticate, read, choose a reply, record, send."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hakoiri.rehearsal import anthropic_stream, delivery
from hakoiri.rehearsal.anthropic_stream import NewId
from hakoiri.rehearsal.attempts import Attempts
from hakoiri.rehearsal.choice import Playback, choose
from hakoiri.rehearsal.delivery import Sleep
from hakoiri.rehearsal.journal import NOT_CHECKED, TEXTS_LIMIT, VALID, Entry, Journal, shortened
from hakoiri.rehearsal.messages import (
    BODY_LIMIT_BYTES,
    ModelRequest,
    RequestError,
    count_tokens,
    cue_of,
    read_request,
)
from hakoiri.rehearsal.routes import Call, call_of
from hakoiri.rehearsal.script import Script
from hakoiri.rehearsal.signature import (
    ReceivedRequest,
    SignatureError,
    SigningKey,
    claimed_access_key_id,
    verify,
)

BEDROCK_VERSION: Final = "bedrock-2023-05-31"
"""The only `anthropic_version` that Bedrock takes (AWS: "Anthropic Claude Messages API")."""


@dataclass(frozen=True, slots=True)
class Identities:
    """Who is let in. A provider without its credential refuses everybody."""

    signing_key: SigningKey | None
    api_key: str | None

    def __repr__(self) -> str:
        return f"Identities(signing_key={self.signing_key!r}, api_key=<redacted>)"


class RefusalError(Exception):
    """The request gets this status; `verdict` is for the journal if credentials are at fault."""

    def __init__(
        self, status: int, message: str, *, kind: str | None = None, verdict: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.verdict = verdict


class Rehearsal:
    """Answers model requests from a script."""

    def __init__(
        self,
        *,
        script: Script,
        identities: Identities,
        journal: Journal,
        now: Callable[[], datetime],
        sleep: Sleep,
        new_id: NewId,
    ) -> None:
        """Play `script` for the bearers of `identities`; `now` is UTC, `sleep` takes seconds."""
        self._script = script
        self._identities = identities
        self._journal = journal
        self._attempts = Attempts()
        self._now = now
        self._sleep = sleep
        self._new_id = new_id

    async def answer(self, request: Request) -> Response:
        """Answer any request that is not for the rehearsal itself."""
        received = _received(request)
        call = call_of(received.method, received.raw_path)
        entry = self._entry(received, call)
        try:
            received = replace(received, body=await _read_body(request))
            self._authenticate(received, call)
            entry = entry.model_copy(update={"verdict": VALID})
            entry, response = self._perform(received, call, entry)
        except RefusalError as error:
            verdict = shortened(error.verdict or entry.verdict)
            entry = entry.model_copy(update={"status": error.status, "verdict": verdict})
            response = delivery.refusal(call.provider, error.status, str(error), kind=error.kind)
        self._journal.record(entry)
        return response

    def _entry(self, received: ReceivedRequest, call: Call) -> Entry:
        identity = claimed_access_key_id(received) or ""
        if call.provider == "anthropic":
            identity = "api-key" if received.header("x-api-key") is not None else ""
        return Entry(
            time=self._now(),
            method=received.method[:16],
            path=received.raw_path[:1024],
            host=(received.header("host") or "")[:256],
            provider=call.provider,
            operation=call.operation,
            model=call.model,
            identity=identity,
            verdict=NOT_CHECKED,
            status=200,
        )

    def _authenticate(self, received: ReceivedRequest, call: Call) -> None:
        if call.provider == "anthropic":
            given = [value for name, value in received.headers if name == "x-api-key"]
            wanted = self._identities.api_key
            if (
                wanted is None
                or len(given) != 1
                or not hmac.compare_digest(given[0].encode(), wanted.encode())
            ):
                raise RefusalError(401, "invalid x-api-key", verdict="invalid x-api-key")
            return
        if self._identities.signing_key is None:
            reason = "this rehearsal has no signing key; set its access key to use Bedrock"
            raise RefusalError(403, reason, verdict=reason)
        try:
            verify(received, key=self._identities.signing_key, now=self._now())
        except SignatureError as error:
            raise RefusalError(
                403, str(error), kind=error.code, verdict=f"{error.code}: {error}"
            ) from error

    def _perform(
        self, received: ReceivedRequest, call: Call, entry: Entry
    ) -> tuple[Entry, Response]:
        if call.operation == "unknown":
            raise RefusalError(404, f"no such operation: {received.method} {received.raw_path}")
        if call.operation == "inference_profiles":
            # The agent CLI asks at start; an empty list makes it use its own model ids.
            return entry, JSONResponse({"inferenceProfileSummaries": []})
        try:
            model_request = read_request(received.body)
        except RequestError as error:
            raise RefusalError(400, str(error)) from error
        _check_fields(model_request, call, received)
        entry = entry.model_copy(update={"model": call.model or model_request.model})
        if call.operation == "count_tokens":
            return entry, JSONResponse({"input_tokens": count_tokens(received.body)})
        return self._play(received, call, model_request, entry)

    def _play(
        self, received: ReceivedRequest, call: Call, request: ModelRequest, entry: Entry
    ) -> tuple[Entry, Response]:
        cue = cue_of(request)
        attempt = self._attempts.next(cue.fingerprint)
        playback = choose(self._script, cue, attempt=attempt)
        if playback.failure is None and playback.cut_after_deltas is None:
            self._attempts.forget(cue.fingerprint)
        streams = call.operation == "stream" or bool(request.stream)
        response = delivery.Delayed(
            self._response(playback, call, model=entry.model, body=received.body, streams=streams),
            delay_s=playback.delay_s,
            sleep=self._sleep,
        )
        update = {
            "operation": "stream" if streams else "invoke",
            "user_text": shortened(cue.user_text),
            "user_texts": [shortened(text) for text in cue.user_texts[-TEXTS_LIMIT:]],
            "scene": playback.scene,
            "reply": playback.reply_number,
            "attempt": attempt,
            "status": response.status_code,
        }
        return entry.model_copy(update=update), response

    def _response(
        self, playback: Playback, call: Call, *, model: str, body: bytes, streams: bool
    ) -> Response:
        failure = playback.failure
        if failure is not None and (failure.after_deltas is None or not streams):
            return delivery.scripted_refusal(call.provider, failure)
        input_tokens = count_tokens(body)
        if streams:
            return delivery.streamed(
                playback,
                provider=call.provider,
                model=model,
                input_tokens=input_tokens,
                new_id=self._new_id,
                sleep=self._sleep,
            )
        message = anthropic_stream.full_message(
            playback, model=model, input_tokens=input_tokens, new_id=self._new_id
        )
        return delivery.whole(message, playback)


def create_app(*, rehearsal: Rehearsal, journal: Journal) -> Starlette:
    """Build the ASGI application around `rehearsal`."""

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok", "rehearsal": True})

    async def requests(_request: Request) -> Response:
        entries = [entry.model_dump(mode="json") for entry in journal.entries()]
        return JSONResponse({"requests": entries})

    return Starlette(
        routes=[
            Route("/_rehearsal/health", health, methods=["GET"]),
            Route("/_rehearsal/requests", requests, methods=["GET"]),
            Route("/{path:path}", rehearsal.answer, methods=["GET", "POST", "PUT", "DELETE"]),
        ]
    )


def _received(request: Request) -> ReceivedRequest:
    return ReceivedRequest(
        method=request.method,
        raw_path=request.scope["raw_path"].decode("latin-1"),
        raw_query=request.scope["query_string"].decode("latin-1"),
        headers=[(k.decode("latin-1"), v.decode("latin-1")) for k, v in request.headers.raw],
        body=b"",
    )


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            raise RefusalError(413, f"the body is longer than {BODY_LIMIT_BYTES} bytes")
    return bytes(body)


def _check_fields(request: ModelRequest, call: Call, received: ReceivedRequest) -> None:
    if request.max_tokens is None and call.operation != "count_tokens":
        raise RefusalError(400, "max_tokens: Field required")
    if call.provider == "anthropic":
        if request.model is None:
            raise RefusalError(400, "model: Field required")
        if not received.header("anthropic-version"):
            raise RefusalError(400, "anthropic-version: header is required")
        return
    if request.anthropic_version != BEDROCK_VERSION:
        raise RefusalError(400, f"anthropic_version: must be {BEDROCK_VERSION}")
    for name in ("model", "stream"):
        if getattr(request, name) is not None:
            raise RefusalError(400, f"{name}: extraneous key is not permitted")
