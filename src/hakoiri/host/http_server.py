"""Serves the API over HTTP until SIGTERM or SIGINT."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from fastapi import FastAPI

from hakoiri.host.settings import Settings

GRACEFUL_HTTP_S: Final = 3
"""How long open requests get to end; event streams never do by themselves."""


async def serve_http(app: FastAPI, settings: Settings) -> None:
    """Listen where the settings say; return when told to stop."""
    server = _Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACEFUL_HTTP_S,
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    await server.serve()


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to us: by itself it would end the process before our turns."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        self.should_exit = True
