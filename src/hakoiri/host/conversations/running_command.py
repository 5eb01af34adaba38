"""A command that runs in a workspace's container, as its reader sees it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

import anyio

from hakoiri.host.containers.ports import (
    AgentProtocolError,
    AgentUnreachableError,
    ContainersError,
    StoppingError,
)
from hakoiri.host.conversations.failures import AgentSilentError
from hakoiri.host.conversations.frame_check import FrameCheck
from hakoiri.wire.command import CommandExit, CommandFrame, RunCommand

GRACE_S: Final = 10.0
"""What an agent gets beyond the command's time limit to kill it and to say so."""

CLOSING_S: Final = 0.2
"""How long a stream may stay open after its last frame."""

Numbered = tuple[int, CommandFrame]
Leave = Callable[[bool], Awaitable[None]]


class RunningCommand:
    """`frames` may be read once; `end` must be called in any case, and kills what still runs."""

    def __init__(
        self,
        command: RunCommand,
        source: AsyncIterator[Numbered],
        *,
        stream: AsyncExitStack,
        leave: Leave,
        grace_s: float = GRACE_S,
    ) -> None:
        """`stream` holds the connection; `leave` is told whether the container is sound."""
        self._command = command
        self._source = source
        self._stream = stream
        self._leave = leave
        self._deadline_s = asyncio.get_running_loop().time() + command.timeout_s + grace_s
        self._next: asyncio.Task[Numbered | None] | None = None
        self._stopping: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._is_sound = True
        self._has_ended = False

    async def frames(self, *, idle_s: float) -> AsyncGenerator[CommandFrame | None, None]:
        """Yield output as it comes, then the exit; None whenever nothing came for `idle_s`.

        Raises `AgentUnreachableError` when the container was lost, `AgentProtocolError`,
        `AgentSilentError` when the agent did not keep the time limit, `StoppingError` after `stop`.
        """
        check = FrameCheck(output_limit_bytes=self._command.output_limit_bytes)
        try:
            while True:
                arrived = await self._take(idle_s)
                if arrived is None:
                    yield None
                    continue
                frame = check.take(*arrived)
                if isinstance(frame, CommandExit):
                    await self._check_end(check)
                    yield frame
                    return
                yield frame
        except (AgentProtocolError, AgentSilentError):
            self._is_sound = False
            raise

    def stop(self) -> None:
        """Let `frames` raise `StoppingError`, for the server is going."""
        if not self._stopping.done():
            self._stopping.set_result(None)

    async def end(self) -> None:
        """Close the stream, which kills the command if it still runs, and let the container go.

        Once; ended again, it does nothing.
        """
        if self._has_ended:
            return
        self._has_ended = True
        with anyio.CancelScope(shield=True):
            try:
                await self._close()
            finally:
                await self._leave(self._is_sound)

    async def _close(self) -> None:
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait([self._next])
            if not self._next.cancelled():
                self._next.exception()  # seen here, so that it is not logged as forgotten
        with suppress(ContainersError):
            await self._stream.aclose()

    async def _check_end(self, check: FrameCheck) -> None:
        """See that nothing follows the exit; a stream read to its end leaves a connection usable.

        An agent that keeps its stream open is left: `end` closes it.
        """
        self._next = self._new_read()
        await asyncio.wait([self._next], timeout=CLOSING_S)
        if self._next.done():
            arrived, self._next = self._next.result(), None
            if arrived is not None:
                check.take(*arrived)

    def _new_read(self) -> "asyncio.Task[Numbered | None]":
        loop = asyncio.get_running_loop()
        return loop.create_task(self._read(), name="read a command's next frame")

    async def _take(self, idle_s: float) -> Numbered | None:
        """Return the next frame, None if there was none for `idle_s`."""
        remaining_s = self._deadline_s - asyncio.get_running_loop().time()
        if self._next is None:
            self._next = self._new_read()
        awaited: tuple[asyncio.Future[Any], ...] = (self._next, self._stopping)
        await asyncio.wait(
            awaited,
            timeout=max(0, min(idle_s, remaining_s)),
            return_when=asyncio.FIRST_COMPLETED,
        )
        if not self._next.done():
            if self._stopping.done():
                raise StoppingError("the server is stopping; run the command again when it is back")
            if remaining_s <= idle_s:
                raise AgentSilentError("the agent did not keep the command's time limit")
            return None
        arrived = self._next.result()
        self._next = None
        if arrived is None:
            raise AgentUnreachableError("the command's stream ended before its end was told")
        return arrived

    async def _read(self) -> Numbered | None:
        return await anext(self._source, None)
