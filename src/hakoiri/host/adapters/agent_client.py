"""`workspace_agent` behind the `AgentConnection` port.

The socket lies in a directory that the container can write. It is opened by descriptor, without
following a link, and only a socket is connected to; everything read from it is bounded and parsed
as the closed union of `hakoiri.wire.events`.
"""

import os
import stat
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp
from pydantic import BaseModel, ValidationError

from hakoiri.host.adapters.unix_http import UnixHttpError, call, exchange, unix_session
from hakoiri.host.containers.ports import (
    AgentConnection,
    AgentProtocolError,
    AgentUnreachableError,
    TooManyCommandsError,
    UnknownTurnError,
)
from hakoiri.wire.agent import (
    AGENT_SOCKET_NAME,
    EVENT_LINE_LIMIT_BYTES,
    HOST_KEEPS_IDLE_S,
    UNKNOWN_TURN,
    Acknowledge,
    AgentHealth,
    AgentOptions,
    RunTurn,
)
from hakoiri.wire.command import CommandFrame, RunCommand, command_frame_adapter
from hakoiri.wire.command_limits import FRAME_LINE_LIMIT_BYTES
from hakoiri.wire.events import AgentEvent, agent_event_adapter
from hakoiri.wire.probe import ProbeReport, ProbeRequest
from hakoiri.wire.sse import SseBlock, SseDecoder, SseError

CONNECT_TIMEOUT_S: Final = 2.0
CALL_TIMEOUT_S: Final = 5.0
CONNECT_AGENT_TIMEOUT_S: Final = 60.0
"""Starting the agent's own process takes a second, and several where the host is busy."""

PROBE_TIMEOUT_S: Final = 330.0
"""Longer than the agent gives the probe."""


class AgentClient:
    """One agent, by the directory of its socket. Reconnects when the socket was made anew."""

    def __init__(self, socket_directory: Path) -> None:
        """Name the directory; the socket is opened at the first call."""
        self._directory = socket_directory
        self._open: tuple[aiohttp.ClientSession, int] | None = None
        self._is_closed = False

    async def health(self) -> AgentHealth:
        """Ask how it is, within a short time limit."""
        try:
            return await call(
                await self._session(),
                "GET",
                "/health",
                answer=AgentHealth,
                timeout_s=CALL_TIMEOUT_S,
            )
        except UnixHttpError as error:
            await self._let_go()  # a new agent may listen at another socket in its place
            raise AgentUnreachableError(f"the agent does not answer: {error}") from error

    def run_turn(self, request: RunTurn) -> AsyncIterator[tuple[int, AgentEvent]]:
        """Start a turn and stream its numbered events to the last."""
        return self._events("POST", "/turns", request)

    def resume_stream(self, turn_id: str, *, after: int) -> AsyncIterator[tuple[int, AgentEvent]]:
        """Read on after event `after`."""
        return self._events("GET", f"/turns/{turn_id}/events?after={after}", None)

    async def acknowledge(self, turn_id: str, seq: int) -> None:
        """Events up to `seq` are stored."""
        await self._command(f"/turns/{turn_id}/ack", Acknowledge(seq=seq))

    async def interrupt(self, turn_id: str) -> None:
        """Ask the turn to end early."""
        await self._command(f"/turns/{turn_id}/interrupt", None)

    async def connect(self, options: AgentOptions) -> None:
        """Have the agent's own process started ahead of the first turn. Takes a while."""
        await self._command("/connect", options, timeout_s=CONNECT_AGENT_TIMEOUT_S)

    async def disconnect(self) -> None:
        """Have that process ended, and the home emptied again; it must have served nobody."""
        await self._command("/disconnect", None, timeout_s=CONNECT_AGENT_TIMEOUT_S)

    async def probe(self, request: ProbeRequest) -> ProbeReport:
        """Have the box looked at from inside; it must have served nobody. Takes a while."""
        try:
            return await call(
                await self._session(),
                "POST",
                "/probe",
                body=request,
                answer=ProbeReport,
                timeout_s=PROBE_TIMEOUT_S,
            )
        except UnixHttpError as error:
            raise AgentUnreachableError(f"the agent did not look at its box: {error}") from error

    async def close(self) -> None:
        """Let go of the socket for good; what is asked after it is `AgentUnreachableError`."""
        self._is_closed = True
        await self._let_go()

    async def _let_go(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            session, descriptor = opened
            try:
                await session.close()
            finally:
                os.close(descriptor)

    async def _session(self) -> aiohttp.ClientSession:
        if self._is_closed:
            raise AgentUnreachableError("the connection to the agent was closed")
        if self._open is None:
            descriptor = open_socket(self._directory)
            path = f"/proc/self/fd/{descriptor}"
            session = unix_session(
                path, connect_timeout_s=CONNECT_TIMEOUT_S, keep_idle_s=HOST_KEEPS_IDLE_S
            )
            self._open = (session, descriptor)
        return self._open[0]

    async def _command(
        self, path: str, body: BaseModel | None, *, timeout_s: float = CALL_TIMEOUT_S
    ) -> None:
        try:
            session = await self._session()
            async with exchange(session, "POST", path, body=body, timeout_s=timeout_s):
                return
        except UnixHttpError as error:
            raise AgentUnreachableError(f"the agent did not take {path}: {error}") from error

    @asynccontextmanager
    async def run_command(
        self, request: RunCommand
    ) -> AsyncIterator[AsyncIterator[tuple[int, CommandFrame]]]:
        """Start a command and stream its frames; leaving the block kills it."""
        try:
            session = await self._session()
            async with exchange(session, "POST", "/exec", body=request, timeout_s=None) as response:
                yield _frames(response)
        except UnixHttpError as error:
            if error.problem is not None and error.problem.code == "too-many-commands":
                raise TooManyCommandsError(str(error)) from error
            raise AgentUnreachableError(f"the command was lost: {error}") from error

    async def _events(
        self, method: str, path: str, body: BaseModel | None
    ) -> AsyncIterator[tuple[int, AgentEvent]]:
        decoder = SseDecoder(line_limit_bytes=EVENT_LINE_LIMIT_BYTES)
        try:
            async with AsyncExitStack() as stack:
                session = await self._session()
                response = await stack.enter_async_context(
                    exchange(session, method, path, body=body, timeout_s=None)
                )
                async for chunk in response.content.iter_any():
                    for block in decoder.feed(chunk):
                        yield _parse(block)
        except SseError as error:
            raise AgentProtocolError(f"the agent's stream is not as agreed: {error}") from error
        except UnixHttpError as error:
            if error.problem is not None and error.problem.code == UNKNOWN_TURN:
                raise UnknownTurnError(f"the agent does not know the turn: {error}") from error
            raise AgentUnreachableError(f"the agent's stream broke off: {error}") from error


class AgentConnectorOverSockets:
    """Opens connections to agents by the directories of their sockets."""

    def connect(self, socket_directory: Path) -> AgentConnection:
        """Return the connection to the agent whose socket lies in the directory."""
        return AgentClient(socket_directory)


def open_socket(directory: Path) -> int:
    """Return an O_PATH descriptor of the agent's socket; `AgentUnreachableError` if it is none.

    The container may put a link, a FIFO or a directory in its place: no link is followed, nothing
    but a socket is accepted, and the connection goes through the descriptor, so that what was
    checked is what is connected to.
    """
    try:
        parent = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(AGENT_SOCKET_NAME, flags, dir_fd=parent)
        finally:
            os.close(parent)
    except OSError as error:
        raise AgentUnreachableError(f"the agent has no socket yet: {error.strerror}") from error
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise AgentUnreachableError("what lies where the agent's socket should be is no socket")
    return descriptor


async def _frames(
    response: aiohttp.ClientResponse,
) -> AsyncGenerator[tuple[int, CommandFrame], None]:
    decoder = SseDecoder(line_limit_bytes=FRAME_LINE_LIMIT_BYTES)
    try:
        async for chunk in response.content.iter_any():
            for block in decoder.feed(chunk):
                yield int(block.id), command_frame_adapter.validate_json(block.data)
    except (SseError, ValueError, RecursionError) as error:
        raise AgentProtocolError("the agent said something that is no frame of ours") from error
    except (aiohttp.ClientError, OSError) as error:
        raise AgentUnreachableError(f"the command's stream broke off: {error}") from error


def _parse(block: SseBlock) -> tuple[int, AgentEvent]:
    try:
        number = int(block.id)
        event = agent_event_adapter.validate_json(block.data)
    except (ValueError, ValidationError, RecursionError) as error:
        raise AgentProtocolError(
            f"the agent said something that is no event of ours ({block.event[:40]!r})"
        ) from error
    return number, event
