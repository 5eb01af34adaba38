"""Answers health before the web framework and the agent SDK are imported.

Importing them takes from one to three seconds in a small container; a host that starts containers
polls for health meanwhile. `ready` is true from the start: a turn is taken at once, and waits.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from hakoiri.workspace_agent.version import AGENT_VERSION

Scope = MutableMapping[str, Any]
AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

EARLY_HEALTH: Final = json.dumps(
    {"state": "ready", "turn_id": None, "version": AGENT_VERSION}
).encode()


class EarlyApp:
    """An ASGI application that stands in for another one until that is loaded."""

    def __init__(self) -> None:
        """Know nothing yet but health."""
        self._loaded: asyncio.Future[AsgiApp] = asyncio.get_running_loop().create_future()

    def become(self, app: AsgiApp) -> None:
        """From now on, and for those who wait, be `app`."""
        self._loaded.set_result(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer health; let every other request wait for the real application."""
        is_health = scope["type"] == "http" and scope["path"] == "/health"
        if is_health and not self._loaded.done():
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": EARLY_HEALTH})
            return
        app = await asyncio.shield(self._loaded)
        await app(scope, receive, send)
