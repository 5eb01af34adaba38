"""A command's frames as an SSE answer. The command ends when the answer does, however that is."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from hakoiri.wire.command import CommandFrame
from hakoiri.wire.sse import COMMENT_KEEPALIVE, encode_block
from hakoiri.workspace_agent.command import Command


class CommandStream(StreamingResponse):
    """Sends the frames, and a comment whenever nothing came for `keepalive_s`."""

    def __init__(
        self, command: Command, *, end: Callable[[Command], None], keepalive_s: float
    ) -> None:
        """Tell of the command; `end` is called with it in any case."""
        self._command = command
        self._end = end
        frames = command.frames(idle_s=keepalive_s)
        super().__init__(_blocks(frames), media_type="text/event-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer until the command or the reader is gone."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._end(self._command)


async def _blocks(
    frames: AsyncGenerator[CommandFrame | None, None],
) -> AsyncGenerator[bytes, None]:
    number = 0
    async with aclosing(frames):
        async for frame in frames:
            if frame is None:
                yield COMMENT_KEEPALIVE
                continue
            number += 1
            yield encode_block(number=number, event=frame.type, data=frame.model_dump_json())
