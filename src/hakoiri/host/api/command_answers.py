"""A running command as an answer: as events while it runs, or as one document at its end.

Either ends the command when the client goes away. The container is let go before the last byte is
sent, so that whoever reads the end sees the command's files.
"""

import codecs
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final, Literal

import anyio
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from hakoiri.host.api.events import KEEPALIVE_S, STREAM_HEADERS
from hakoiri.host.api.problems import problem_of, problem_response
from hakoiri.host.containers.ports import AgentProtocolError, ContainersError, StoppingError
from hakoiri.host.conversations.failures import AgentSilentError
from hakoiri.host.conversations.running_command import RunningCommand
from hakoiri.wire.base64_text import encode
from hakoiri.wire.command import CommandExit, CommandOutput
from hakoiri.wire.problems import Problem
from hakoiri.wire.sse import COMMENT_KEEPALIVE, encode_block

Encoding = Literal["text", "base64"]

LOST: Final = Problem.of(
    "container-lost",
    title="The container was lost",
    status=503,
    detail="The container ended while the command ran; run it again.",
)
NOT_AS_AGREED: Final = Problem.of(
    "agent-protocol",
    title="The container broke the protocol",
    status=503,
    detail="Its container was given up; run the command again.",
)


class CommandEvents(StreamingResponse):
    """Events `stdout` and `stderr`, then `exit`, or `error` with a problem's code and text."""

    def __init__(self, running: RunningCommand, *, encoding: Encoding) -> None:
        self._running = running
        super().__init__(
            _blocks(running, encoding), media_type="text/event-stream", headers=STREAM_HEADERS
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the command or the client is gone."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._running.end()


class CommandDocument(JSONResponse):
    """The result as one document, or a problem."""

    def __init__(self, running: RunningCommand, *, encoding: Encoding) -> None:
        self._running = running
        self._encoding = encoding
        super().__init__(None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for the end and tell it; nothing is told to a client that went away."""
        answer = None
        try:
            async with anyio.create_task_group() as group:

                async def wait_for_leaving() -> None:
                    while (await receive())["type"] != "http.disconnect":
                        pass
                    group.cancel_scope.cancel()

                group.start_soon(wait_for_leaving)
                answer = await _collected(self._running, self._encoding)
                group.cancel_scope.cancel()
        finally:
            await self._running.end()
        if answer is not None:
            await answer(scope, receive, send)


async def _collected(running: RunningCommand, encoding: Encoding) -> Any:
    wrote = {"stdout": bytearray(), "stderr": bytearray()}
    try:
        async with aclosing(running.frames(idle_s=KEEPALIVE_S)) as frames:
            async for frame in frames:
                if isinstance(frame, CommandOutput):
                    wrote[frame.type] += frame.raw
                elif frame is not None:
                    return JSONResponse(
                        _told(frame) | {name: _shown(raw, encoding) for name, raw in wrote.items()},
                        headers={"Cache-Control": "no-store"},
                    )
    except ContainersError as error:
        return problem_response(problem_of_command(error))
    return problem_response(LOST)


async def _blocks(running: RunningCommand, encoding: Encoding) -> AsyncGenerator[bytes, None]:
    numbers = iter(range(1, 2**63))
    shown = _Shown(encoding)

    def block(event: str, data: dict[str, Any]) -> bytes:
        return encode_block(number=next(numbers), event=event, data=json.dumps(data))

    try:
        async with aclosing(running.frames(idle_s=KEEPALIVE_S)) as frames:
            async for frame in frames:
                if frame is None:
                    yield COMMENT_KEEPALIVE
                elif isinstance(frame, CommandOutput):
                    if data := shown.show(frame.type, frame.raw):
                        yield block(frame.type, data)
                else:
                    for stream in ("stdout", "stderr"):
                        if data := shown.rest(stream):
                            yield block(stream, data)
                    await running.end()
                    yield block("exit", _told(frame))
    except ContainersError as error:
        problem = problem_of_command(error)
        yield block("error", {"code": problem.code, "text": problem.detail})


class _Shown:
    """Output as events carry it; a character that is cut by a frame's end waits for its rest."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {name: decoder("replace") for name in ("stdout", "stderr")}

    def show(self, stream: str, raw: bytes) -> dict[str, str]:
        """Return the event's data; empty if nothing can be shown yet."""
        if self._encoding == "base64":
            return {"base64": encode(raw)}
        text = self._decoders[stream].decode(raw)
        return {"text": text} if text else {}

    def rest(self, stream: str) -> dict[str, str]:
        """Return what waited in vain for its rest."""
        text = self._decoders[stream].decode(b"", final=True)
        return {"text": text} if text else {}


def _shown(raw: bytes | bytearray, encoding: Encoding) -> str:
    return encode(raw) if encoding == "base64" else raw.decode("utf-8", "replace")


def _told(end: CommandExit) -> dict[str, Any]:
    return {
        "exit_code": end.code,
        "signal": end.signal,
        "timed_out": end.timed_out,
        "output_cut": end.output_cut,
    }


def problem_of_command(error: ContainersError) -> Problem:
    """Return what a client may know of a command that broke off."""
    if isinstance(error, StoppingError):
        return problem_of(error)
    return NOT_AS_AGREED if isinstance(error, (AgentProtocolError, AgentSilentError)) else LOST
