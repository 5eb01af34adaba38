"""The HTTP server around the application: it ends when a signal asks this process to."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from fastapi import FastAPI

GRACEFUL_HTTP_S: Final = 3
"""How long open requests get to end; event streams never do by themselves."""


async def serve_http(
    app: FastAPI,
    *,
    host: str,
    port: int,
    stopping: Callable[[], None] = lambda: None,
    leaving: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT, which is told to `stopping` at once.

    SIGUSR1 is the same, but is told to `leaving` before: containers are to stay.
    """
    server = _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACEFUL_HTTP_S,
        )
    )

    def stop() -> None:
        stopping()
        server.stop()

    def leave() -> None:
        leaving()
        stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGUSR1, leave)
    await server.serve()


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to us: by itself it would end the process before our turns."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        self.should_exit = True
