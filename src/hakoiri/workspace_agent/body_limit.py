"""Refuses request bodies that are too long, before anything reads them whole."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hakoiri.wire.messages import BODY_LIMIT_BYTES
from hakoiri.wire.problems import PROBLEM_MEDIA_TYPE, Problem


class BodyLimit:
    """ASGI middleware: 413 for a body over the limit, told or counted."""

    def __init__(self, app: ASGIApp, *, limit_bytes: int = BODY_LIMIT_BYTES) -> None:
        """Wrap `app`."""
        self._app = app
        self._limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body up to the limit, then hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await self._read(scope, receive)
        if body is None:
            await _refuse(send, self._limit_bytes)
            return
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """Return the whole body, None if it is too long."""
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if told.isdigit() and int(told) > self._limit_bytes:
            return None
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._limit_bytes:
                return None
            if not message.get("more_body", False):
                return bytes(body)


async def _refuse(send: Send, limit_bytes: int) -> None:
    document = Problem.of(
        "body-too-long",
        title="The request body is too long",
        status=413,
        detail=f"A body may hold {limit_bytes} bytes; send a shorter text.",
    )
    headers = [
        (b"content-type", PROBLEM_MEDIA_TYPE.encode()),
        # the rest of the body is not read
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": document.model_dump_json().encode()})
