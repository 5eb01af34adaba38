import pytest
from starlette.types import Message, Receive, Scope, Send

from hakoiri.workspace_agent.body_limit import BodyLimit

pytestmark = pytest.mark.anyio

LIMIT_BYTES = 10


class Exchange:
    """One request in chunks through the limit, to an application that reads it whole."""

    def __init__(self, *chunks: bytes, told: bytes | None = None) -> None:
        self.chunks = list(chunks)
        self.headers = [] if told is None else [(b"content-length", told)]
        self.seen: bytes | None = None
        self.sent: list[Message] = []

    async def run(self) -> int:
        await BodyLimit(self.app, limit_bytes=LIMIT_BYTES)(
            {"type": "http", "headers": self.headers}, self.receive, self.send
        )
        return int(self.sent[0]["status"])

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen = (await receive())["body"]
        after = await receive()
        assert after["type"] == "http.disconnect", "later messages still come through"
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive(self) -> Message:
        if not self.chunks:
            return {"type": "http.disconnect"}
        body = self.chunks.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(self.chunks)}

    async def send(self, message: Message) -> None:
        self.sent.append(message)


async def test_a_body_at_the_limit_passes_whole() -> None:
    exchange = Exchange(b"12345", b"67890", told=b"10")
    assert await exchange.run() == 200
    assert exchange.seen == b"1234567890"


async def test_one_byte_more_is_refused_before_the_application_sees_any() -> None:
    exchange = Exchange(b"12345", b"678901", b"never read")
    assert await exchange.run() == 413
    assert exchange.seen is None
    assert exchange.chunks == [b"never read"]


async def test_a_told_length_over_the_limit_is_refused_unread() -> None:
    exchange = Exchange(b"never read", told=b"11")
    assert await exchange.run() == 413
    assert exchange.chunks == [b"never read"]


async def test_other_scopes_pass() -> None:
    scopes: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope["type"])

    exchange = Exchange()
    await BodyLimit(app)({"type": "lifespan"}, exchange.receive, exchange.send)
    assert scopes == ["lifespan"]
