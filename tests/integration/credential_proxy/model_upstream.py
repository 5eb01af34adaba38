"""A model's API as far as budgets look at it: six ways to tell of usage, and ways to break off."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from hakoiri.rehearsal.event_stream import MEDIA_TYPE, chunk_frame, encode_frame

from .connections import close_all

MODEL = "us.anthropic.claude-test-v1:0"
ANTHROPIC = "/v1/messages"
INVOKE = f"/model/{MODEL}/invoke"
CONVERSE = f"/model/{MODEL}/converse"
STREAMED = "streamed"


@dataclass
class ModelUpstream:
    """Answers each call with the same usage; `calls` are the bodies it was sent.

    Where `hold` is clear, a stream waits after its first event. `cut` breaks it off there.
    """

    port: int = 0
    input_tokens: int = 10
    output_tokens: int = 20
    cache_write_tokens: int = 30
    cache_read_tokens: int = 40
    status: int = 200
    cut: bool = False
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[bytes] = field(default_factory=list)
    usage_in_events: bool = True

    def usage(self, *, output: int) -> dict[str, int]:
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": output,
            "cache_creation_input_tokens": self.cache_write_tokens,
            "cache_read_input_tokens": self.cache_read_tokens,
        }

    @property
    def converse_usage(self) -> dict[str, int]:
        return {
            "inputTokens": self.input_tokens,
            "outputTokens": self.output_tokens,
            "cacheWriteInputTokens": self.cache_write_tokens,
            "cacheReadInputTokens": self.cache_read_tokens,
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read()
        self.calls.append(body)
        path = request.path
        if self.status != 200:
            return web.json_response({"message": "no"}, status=self.status)
        is_converse = "/converse" in path
        is_streamed = path.endswith("-stream") or b'"stream": true' in body
        if not is_streamed:
            usage: Any = self.converse_usage if is_converse else self.usage(output=20)
            return web.json_response({"model": MODEL, "usage": usage})
        events = self._converse_events() if is_converse else self._events(path)
        media_type = "text/event-stream" if path == ANTHROPIC else MEDIA_TYPE
        response = web.StreamResponse(headers={"Content-Type": media_type})
        await response.prepare(request)
        await response.write(events[0])
        await self.hold.wait()
        if self.cut:
            assert request.transport is not None
            request.transport.abort()
            return response
        for event in events[1:]:
            for at in range(0, len(event), 7):  # split anywhere
                await response.write(event[at : at + 7])
        return response

    def _events(self, path: str) -> list[bytes]:
        started = {"model": MODEL, "usage": self.usage(output=1) if self.usage_in_events else {}}
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": started},
            {"type": "content_block_delta", "delta": {"text": 'says "usage" and message_stop'}},
            {"type": "message_delta", "usage": {"output_tokens": self.output_tokens}},
            {"type": "message_stop"},
        ]
        if not self.usage_in_events:
            del events[2]
        if path == ANTHROPIC:
            return [
                f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
                for event in events
            ]
        return [chunk_frame(event) for event in events]

    def _converse_events(self) -> list[bytes]:
        metadata = {"metrics": {"latencyMs": 1}, "usage": self.converse_usage}
        return [
            encode_frame({":event-type": kind}, json.dumps(payload).encode())
            for kind, payload in (("messageStart", {"role": "assistant"}), ("metadata", metadata))
        ]


@asynccontextmanager
async def running_model() -> AsyncIterator[ModelUpstream]:
    model = ModelUpstream()
    model.hold.set()
    server = web.Server(model.handle, access_log=None)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    model.port = listening.sockets[0].getsockname()[1]
    try:
        yield model
    finally:
        await close_all()
        model.hold.set()
        listening.close()
        await server.shutdown(1)
        await listening.wait_closed()
