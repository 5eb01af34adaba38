"""The chat's model call over a real Unix socket, against a server that plays the proxy."""

import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from aiohttp import web
from tests.integration.sql.conftest import conversation
from tests.unit.host.adapters.test_event_stream_frames import encode

from hakoiri.host.adapters.chat_model import ProxiedChatModel
from hakoiri.host.conversations.model import Conversation, ConversationKind
from hakoiri.host.conversations.ports import ChatModelError
from hakoiri.wire.agent import AgentOptions
from hakoiri.wire.events import Error, EventData, Result, TextDelta

pytestmark = pytest.mark.anyio

HISTORY = [("user", "hi")]
EVENTS: list[dict[str, object]] = [
    {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "箱"}},
    {"type": "message_stop"},
]
FRAMES = b"".join(
    encode(
        {":message-type": "event"},
        json.dumps({"bytes": base64.b64encode(json.dumps(event).encode()).decode()}).encode(),
    )
    for event in EVENTS
)
SSE = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in EVENTS).encode()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Proxy:
    """Answers each request with `status` and `body`, byte by byte."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        self.body = body
        self.status = status
        self.path = ""
        self.request: dict[str, object] = {}
        self.headers: dict[str, str] = {}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.path = request.raw_path
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        self.request = await request.json()
        response = web.StreamResponse(status=self.status)
        await response.prepare(request)
        for at in range(0, len(self.body), 7):
            await response.write(self.body[at : at + 7])
        return response


class OneSocket:
    def __init__(self, path: Path) -> None:
        self._path = path

    @asynccontextmanager
    async def socket_for(self, conversation: Conversation) -> AsyncIterator[Path]:
        yield self._path


@asynccontextmanager
async def model_behind(
    proxy: Proxy, directory: Path, provider: Literal["bedrock", "anthropic"]
) -> AsyncIterator[ProxiedChatModel]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", proxy.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(directory / "proxy.sock")).start()
        yield ProxiedChatModel(provider=provider, sockets=OneSocket(directory / "proxy.sock"))
    finally:
        await runner.cleanup()


async def ask(model: ProxiedChatModel, name: str | None = "a.b-v1:0") -> Sequence[EventData]:
    chat = replace(
        conversation("chat", kind=ConversationKind.CHAT),
        options=AgentOptions(model=name, system_prompt="be brief"),
    )
    return [event async for event in model.answer(conversation=chat, history=HISTORY)]


async def test_bedrock_is_called_with_its_path_and_read_in_frames(tmp_path: Path) -> None:
    proxy = Proxy(FRAMES)
    async with model_behind(proxy, tmp_path, "bedrock") as model:
        assert await ask(model) == [TextDelta(text="箱"), Result(text="箱", num_turns=1)]
    assert proxy.path == "/model/a.b-v1%3A0/invoke-with-response-stream"
    assert proxy.headers["host"] == "127.0.0.1:3128"
    assert proxy.request == {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": "hi"}],
        "system": "be brief",
    }
    assert not {"authorization", "x-api-key"} & set(proxy.headers)


async def test_anthropic_is_called_with_its_path_and_read_as_sse(tmp_path: Path) -> None:
    proxy = Proxy(SSE)
    async with model_behind(proxy, tmp_path, "anthropic") as model:
        assert await ask(model) == [TextDelta(text="箱"), Result(text="箱", num_turns=1)]
    assert proxy.path == "/v1/messages"
    assert proxy.headers["anthropic-version"] == "2023-06-01"
    assert proxy.request["stream"] is True
    assert proxy.request["model"] == "a.b-v1:0"


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b'{"message": "no"}', 429, "429"),
        (FRAMES[:-20], 200, "broke off"),
        (b"", 200, "broke off"),
        (b"x" * 5000, 200, "broke off"),
        (FRAMES[:20] + b"\0" + FRAMES[21:], 200, "wrong sum"),
    ],
)
async def test_an_answer_that_is_none_is_our_error(
    tmp_path: Path, body: bytes, status: int, told: str
) -> None:
    async with model_behind(Proxy(body, status), tmp_path, "bedrock") as model:
        with pytest.raises(ChatModelError, match=told):
            await ask(model)


@pytest.mark.parametrize(
    "body",
    [
        b'{"type": "error", "error": {"message": "too much (over-budget)"}}',
        b"too much (over-budget)",
    ],
)
async def test_a_budget_that_is_used_up_is_the_turn_s_error(tmp_path: Path, body: bytes) -> None:
    async with model_behind(Proxy(body, 429), tmp_path, "anthropic") as model:
        told = await ask(model)
    assert told == [Error(code="over-budget", text="too much (over-budget)")]


async def test_a_proxy_that_is_away_and_a_model_without_name_are_our_errors(
    tmp_path: Path,
) -> None:
    model = ProxiedChatModel(provider="bedrock", sockets=OneSocket(tmp_path / "none.sock"))
    with pytest.raises(ChatModelError, match="broke off"):
        await ask(model)
    with pytest.raises(ChatModelError, match="model: name one"):
        await ask(model, None)
