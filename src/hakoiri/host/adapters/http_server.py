"""The HTTP server around the application: it ends when a signal asks this process to."""

import asyncio
import math
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import uvicorn
from starlette.types import ASGIApp

GRACEFUL_HTTP_S: Final = 3.0
"""How long open requests get to end."""

LAST_WORDS_S: Final = 0.5
"""How long those that had not ended get to say so to their clients."""

STUCK_S: Final = 2.0
"""What does not end then hangs: it is cancelled, and the log tells where."""


def _nothing() -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Who is told of the server's end, in the order in which it comes.

    `leaving` says that containers are to stay, `stopping` that the server ends. `giving_up`: the
    time of open requests is over. `cutting_off`: so is that of their last words, and whatever
    connection is open is being cut.
    """

    leaving: Callable[[], None] = _nothing
    stopping: Callable[[], None] = _nothing
    giving_up: Callable[[], None] = _nothing
    cutting_off: Callable[[], None] = _nothing


async def serve_http(
    app: ASGIApp, *, host: str, port: int, ends: Ends, grace_s: float = GRACEFUL_HTTP_S
) -> None:
    """Serve until SIGTERM or SIGINT; SIGUSR1 is the same, but lets containers stay."""
    server = _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=math.ceil(grace_s + LAST_WORDS_S + STUCK_S),
        ),
        ends=ends,
        grace_s=grace_s,
    )

    def stop() -> None:
        ends.stopping()
        server.stop()

    def leave() -> None:
        ends.leaving()
        stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGUSR1, leave)
    await server.serve()


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to us: by itself it would end the process before our turns."""

    def __init__(self, config: uvicorn.Config, *, ends: Ends, grace_s: float) -> None:
        super().__init__(config)
        self._ends = ends
        self._grace_s = grace_s

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what is open: first what ends by itself, then the rest."""
        async with asyncio.TaskGroup() as group:
            rest = group.create_task(self._end_rest(), name="end the rest of the requests")
            await super().shutdown(sockets)
            rest.cancel()

    async def _end_rest(self) -> None:
        await asyncio.sleep(self._grace_s)
        self._ends.giving_up()
        await asyncio.sleep(LAST_WORDS_S)
        self._ends.cutting_off()
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
