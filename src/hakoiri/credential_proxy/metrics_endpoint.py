"""`GET /metrics`, on the control socket or on a socket of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry

from hakoiri.credential_proxy.metrics.exposition import CONTENT_TYPE, Snapshot
from hakoiri.credential_proxy.unix_socket import listen_at

_MODE: Final = 0o660


def add_metrics(application: web.Application, registry: CollectorRegistry) -> None:
    """Let `application` answer `GET /metrics` from `registry`."""

    async def metrics(request: web.Request) -> web.StreamResponse:
        del request
        body = await asyncio.to_thread(Snapshot(registry).render)  # requests go on meanwhile
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    application.router.add_get("/metrics", metrics)


@asynccontextmanager
async def metrics_socket(path: Path, registry: CollectorRegistry) -> AsyncIterator[None]:
    """Answer on a Unix socket at `path`, for its owner and group.

    Raises:
        SocketPathError: the socket cannot be made.
    """
    application = web.Application()
    add_metrics(application, registry)
    runner = web.AppRunner(application, access_log=None)
    async with AsyncExitStack() as stack:
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, listen_at(path, mode=_MODE)).start()
        stack.callback(path.unlink, missing_ok=True)
        yield
