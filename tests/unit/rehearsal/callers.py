"""Those who call the rehearsal in these tests: a signer that is not ours, and bare ASGI."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from starlette.types import ASGIApp, Message

from hakoiri.rehearsal.signature import ReceivedRequest, SigningKey

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
KEY = SigningKey("AKIDEXAMPLE", "planted-secret", "us-east-1")


def signed(
    path: str = "/model/anthropic.claude-x-v1:0/invoke",
    query: str = "",
    body: bytes = b"{}",
    *,
    method: str = "POST",
    key: SigningKey = KEY,
    service: str = "bedrock",
    headers: dict[str, str] | None = None,
    at: datetime = NOW,
) -> ReceivedRequest:
    """A request as botocore's own signer would send it."""
    url = "http://bedrock-runtime.us-east-1.amazonaws.test" + path + (f"?{query}" if query else "")
    request: Any = AWSRequest(method, url, headers=headers or {}, data=body)
    request.headers["Host"] = "bedrock-runtime.us-east-1.amazonaws.test"
    credentials = Credentials(key.access_key_id, key.secret_access_key, key.session_token)
    with patch("botocore.auth.get_current_datetime", lambda: at.replace(tzinfo=None)):
        SigV4Auth(credentials, service, key.region).add_auth(request)
    received = [(name.lower(), value) for name, value in request.headers.items()]
    return ReceivedRequest(method, path, query, received, body)


@dataclass
class Answer:
    """What an ASGI application sent; `ended` is False when it left the response open."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    ended: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


async def call(app: ASGIApp, request: ReceivedRequest, *, body_pieces: int = 1) -> Answer:
    """Send `request` to `app`, its body in so many pieces."""
    answer = Answer()
    step = max(1, -(-len(request.body) // body_pieces))
    pieces = [request.body[i : i + step] for i in range(0, len(request.body), step)] or [b""]

    async def receive() -> Message:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            answer.pieces.append(message["body"])
            answer.ended = not message.get("more_body", False)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": request.raw_path,
        "raw_path": request.raw_path.encode("latin-1"),
        "query_string": request.raw_query.encode("latin-1"),
        "headers": [(k.encode("latin-1"), v.encode("latin-1")) for k, v in request.headers],
    }
    await app(scope, receive, send)
    return answer
