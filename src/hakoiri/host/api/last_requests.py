"""The requests under way, and what becomes of them when the server stops.

Event streams end by themselves at once. The others have a while to end; then those without an
answer are told that the server stops, and those in the middle of one are cut off: a download that
ended well would pass for a whole one.
"""

from typing import Final

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hakoiri.host.api.problems import RETRY_AFTER_S, send_problem
from hakoiri.wire.problems import Problem

STOPPING: Final = Problem.of(
    "server-stopping",
    title="The server is stopping",
    status=503,
    detail="The request was given up; see what became of it, and retry when the server is back.",
)
HEADERS: Final = {"Connection": "close", "Retry-After": RETRY_AFTER_S}


class LastRequests:
    """Knows the requests that are being served."""

    def __init__(self) -> None:
        self._requests: set[_Request] = set()

    def __len__(self) -> int:
        """How many are being served."""
        return len(self._requests)

    def refuse_unanswered(self) -> None:
        """End those whose answer has not begun; they are told so."""
        for request in self._requests:
            if not request.has_begun:
                request.scope.cancel()

    def cut_off(self) -> None:
        """End all; whose answer has begun waits for its connection's end, which must come now."""
        for request in self._requests:
            request.scope.cancel()

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, until it ends or is ended."""
        request = _Request(send)
        self._requests.add(request)
        try:
            with request.scope:
                await app(scope, receive, request.send)
        finally:
            self._requests.discard(request)
        if not request.scope.cancelled_caught:
            return
        if not request.has_begun:
            await send_problem(STOPPING, scope, receive, send, headers=HEADERS)
            return
        while (await receive())["type"] != "http.disconnect":
            pass  # what is still sent of the body is of no use


class EndableRequests:
    """The layer around the application that lets its requests be ended. Pure ASGI."""

    def __init__(self, app: ASGIApp, *, requests: LastRequests) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; only requests can be ended."""
        if scope["type"] == "http":
            await self._requests.serve(self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)


class _Request:
    def __init__(self, send: Send) -> None:
        self._send = send
        self.scope = anyio.CancelScope()
        self.has_begun = False

    async def send(self, message: Message) -> None:
        self.has_begun = True
        await self._send(message)
