"""The model of a chat: one streamed call through the credential proxy's socket.

The socket is bound to a policy like a container's; the proxy sets the credential and speaks TLS
upstream. No key is known here.
"""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final, Literal, Protocol
from urllib.parse import quote

import aiohttp
from yarl import URL

from hakoiri.host.adapters.event_stream_frames import FrameDecoder, FrameError
from hakoiri.host.adapters.model_answer import ModelAnswer, event_of_frame
from hakoiri.host.conversations.model import Conversation
from hakoiri.host.conversations.ports import ChatModelError
from hakoiri.wire.agent import EVENT_LINE_LIMIT_BYTES, RELAY_PORT
from hakoiri.wire.events import Error, EventData
from hakoiri.wire.problems import OVER_BUDGET
from hakoiri.wire.sse import SseDecoder, SseError

BASE_URL: Final = f"http://127.0.0.1:{RELAY_PORT}"
"""What an agent in a container would call; the proxy knows model calls by it."""

BEDROCK_VERSION: Final = "bedrock-2023-05-31"
ANTHROPIC_VERSION: Final = "2023-06-01"
OUTPUT_LIMIT_TOKENS: Final = 8192
CONNECT_TIMEOUT_S: Final = 10
REFUSAL_LIMIT_BYTES: Final = 64 * 1024

Unpack = Callable[[bytes], list[bytes | str]]


class SocketsOfChats(Protocol):
    """Where a chat's call goes out."""

    def socket_for(self, conversation: Conversation) -> AbstractAsyncContextManager[Path]:
        """Yield the path of a socket that is bound to the conversation's policy."""


class ProxiedChatModel:
    """`ChatModel` through a socket of the proxy. Silence is bounded by the turn."""

    def __init__(
        self, *, provider: Literal["bedrock", "anthropic"], sockets: SocketsOfChats
    ) -> None:
        self._provider = provider
        self._sockets = sockets

    async def answer(
        self, *, conversation: Conversation, history: Sequence[tuple[str, str]]
    ) -> AsyncIterator[EventData]:
        """Stream deltas, then the result or the model's error. Raises `ChatModelError`."""
        model = conversation.options.model
        if model is None:
            raise ChatModelError("model: name one in the conversation or in the settings")
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
        try:
            async with (
                self._sockets.socket_for(conversation) as path,
                aiohttp.ClientSession(
                    connector=aiohttp.UnixConnector(path=str(path)),
                    timeout=timeout,
                    auto_decompress=True,
                ) as session,
                session.post(
                    URL(BASE_URL + self._path(model), encoded=True),
                    data=json.dumps(self._body(conversation, model, history)),
                    headers=self._headers(),
                    allow_redirects=False,
                ) as response,
            ):
                async for event in self._read(response):
                    yield event
        except (aiohttp.ClientError, OSError, SseError, FrameError) as error:
            raise ChatModelError(f"the call broke off: {error}") from error

    def _path(self, model: str) -> str:
        if self._provider == "bedrock":
            return f"/model/{quote(model, safe='')}/invoke-with-response-stream"
        return "/v1/messages"

    def _headers(self) -> dict[str, str]:
        if self._provider == "bedrock":
            return {
                "Content-Type": "application/json",
                "Accept": "application/vnd.amazon.eventstream",
            }
        return {"Content-Type": "application/json", "anthropic-version": ANTHROPIC_VERSION}

    def _body(
        self, conversation: Conversation, model: str, history: Sequence[tuple[str, str]]
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "max_tokens": OUTPUT_LIMIT_TOKENS,
            "messages": [{"role": role, "content": text} for role, text in history],
        }
        if conversation.options.system_prompt:
            body["system"] = conversation.options.system_prompt
        if self._provider == "bedrock":
            return body | {"anthropic_version": BEDROCK_VERSION}
        return body | {"model": model, "stream": True}

    async def _read(self, response: aiohttp.ClientResponse) -> AsyncIterator[EventData]:
        if response.status != 200:  # noqa: PLR2004 - HTTP's word for yes
            refusal = (await response.content.read(REFUSAL_LIMIT_BYTES)).decode("utf-8", "replace")
            if f"({OVER_BUDGET})" in refusal:
                yield Error(code=OVER_BUDGET, text=_message(refusal))
                return
            raise ChatModelError(f"the model answered {response.status}: {refusal[:500]}")
        answer = ModelAnswer()
        unpack = _frames() if self._provider == "bedrock" else _blocks()
        async for chunk in response.content.iter_any():
            for document in unpack(chunk):
                for event in answer.take(document):
                    yield event
                if answer.is_complete:
                    return
        raise ChatModelError("the answer broke off before its end")


def _message(refusal: str) -> str:
    try:
        message = json.loads(refusal)["error"]["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        message = refusal
    return str(message)[:500]


def _frames() -> Unpack:
    decoder = FrameDecoder()
    return lambda chunk: [event_of_frame(frame) for frame in decoder.feed(chunk)]


def _blocks() -> Unpack:
    decoder = SseDecoder(line_limit_bytes=EVENT_LINE_LIMIT_BYTES)
    return lambda chunk: [block.data for block in decoder.feed(chunk)]
