"""What is refused before any handler sees it: strangers' hosts and origins, bodies of wrong size.

Pure ASGI, so that streams pass through unbuffered. A keyless server listens on loopback, where each
web page that a browser shows could reach it: by another origin's request, or by a host name that
resolves to 127.0.0.1 (DNS rebinding). So it answers to loopback's own names only, and no server
takes a request with a foreign `Origin`.
"""

import re
from typing import Final
from urllib.parse import urlsplit

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hakoiri.host.api.problems import send_problem
from hakoiri.wire.messages import BODY_LIMIT_BYTES
from hakoiri.wire.problems import Problem

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})

BODY_TIMEOUT_S: Final = 30
"""A client that has not sent its body by then is not going to."""

UPLOAD: Final = re.compile(
    r"/v1/(workspaces/[^/]+|conversations/[^/]+/workspace)/files(/.+)?", re.DOTALL
)
"""Where files are put; any other body is JSON."""

BODY_METHODS: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class HostGuard:
    """Refuses foreign hosts on a keyless server, and foreign origins everywhere."""

    def __init__(self, app: ASGIApp, *, only_loopback: bool) -> None:
        self._app = app
        self._only_loopback = only_loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what comes from a friend."""
        if scope["type"] == "http" and (problem := self._refusal(scope)) is not None:
            await send_problem(problem, scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Problem | None:
        hosts = _header_values(scope, b"host")
        if len(hosts) != 1:
            return _forbidden("host-refused", "Send exactly one Host header.")
        if self._only_loopback and not is_loopback_host(hosts[0]):
            return _forbidden(
                "host-refused",
                "A server without keys answers to localhost, 127.0.0.1 and [::1] only.",
            )
        if any(not is_same_origin(item, hosts[0]) for item in _header_values(scope, b"origin")):
            return _forbidden("origin-refused", "Requests from other sites are not taken.")
        return None


DISCARD_LIMIT_BYTES: Final = 8 * BODY_LIMIT_BYTES
"""A body over this is cut off without being read."""


class BodyGuard:
    """Refuses bodies that are too large, too slow, or not JSON."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        limit_bytes: int = BODY_LIMIT_BYTES,
        discard_limit_bytes: int = DISCARD_LIMIT_BYTES,
        timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        self._app = app
        self._limit_bytes = limit_bytes
        self._discard_limit_bytes = discard_limit_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body whole, within bounds, and hand it on."""
        if scope["type"] != "http" or scope["method"] not in BODY_METHODS or is_upload(scope):
            await self._app(scope, receive, send)
            return
        body, problem = None, None
        try:
            with anyio.fail_after(self._timeout_s):
                body = await self._read(scope, receive)
        except TimeoutError:
            problem = Problem.of(
                "body-timeout",
                title="The body did not arrive",
                status=408,
                detail=f"Send the body within {self._timeout_s:g} s.",
            )
        else:
            problem = self._refusal(scope, body)
        if body is None or problem is not None:
            headers = {"Connection": "close"}  # the rest of the body is not going to be read
            await send_problem(problem or self._too_large(), scope, receive, send, headers=headers)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """Return the body, or None if it is longer than the limit.

        A body somewhat over the limit is read to its end and thrown away: a client that is cut off
        while it sends loses the answer that says why (RFC 9112, section 9.6).
        """
        announced = _header_values(scope, b"content-length")
        if announced and _is_over(announced[0], self._discard_limit_bytes):
            return None
        body, length = bytearray(), 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return bytes(body)
            length += len(message.get("body", b""))
            if length <= self._limit_bytes:
                body += message.get("body", b"")
            else:
                body.clear()
            if length > self._discard_limit_bytes:
                return None
            if not message.get("more_body", False):
                return bytes(body) if length <= self._limit_bytes else None

    def _refusal(self, scope: Scope, body: bytes | None) -> Problem | None:
        if body is None:
            return self._too_large()
        kinds = _header_values(scope, b"content-type")
        if body and (len(kinds) != 1 or not is_json(kinds[0])):
            return Problem.of(
                "not-json",
                title="The body is not JSON",
                status=415,
                detail="Send the body as Content-Type: application/json.",
            )
        return None

    def _too_large(self) -> Problem:
        return Problem.of(
            "body-too-large",
            title="The body is too large",
            status=413,
            detail=f"The body may have {self._limit_bytes} bytes; send less.",
        )


def is_upload(scope: Scope) -> bool:
    """Whether the body is a file's bytes, which its handler bounds as they come."""
    return scope["method"] == "PUT" and UPLOAD.fullmatch(scope["path"]) is not None


def _is_over(announced: str, limit_bytes: int) -> bool:
    """Whether a Content-Length is no length or more than the limit."""
    return not (announced.isascii() and announced.isdigit()) or int(announced) > limit_bytes


def is_loopback_host(host: str) -> bool:
    """Whether a Host header names this machine's loopback, with any port."""
    name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if not name:
        name, port = host, ""
    return name.lower() in LOOPBACK_NAMES and (not port or port.isdecimal())


def is_same_origin(origin: str, host: str) -> bool:
    """Whether an Origin header is of the host that the request went to (RFC 6454, section 7)."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def is_json(content_type: str) -> bool:
    """Whether a Content-Type header says JSON; parameters are allowed."""
    return content_type.partition(";")[0].strip().lower() == "application/json"


def _forbidden(code: str, detail: str) -> Problem:
    return Problem.of(code, title="The request is refused", status=403, detail=detail)


def _header_values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body in one message, then what really comes (the disconnect)."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed
