"""What cannot be audited is not begun: refused before any handler sees it.

One closed list of what may be done all the same, so that a new route is held back unless it is
named here. Pure ASGI, so that streams pass through unbuffered.
"""

import re
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from hakoiri.host.api.problems import send_problem
from hakoiri.wire.problems import AUDIT_TITLE, AUDIT_UNAVAILABLE, Problem

Hindrance = Callable[[], str | None]
"""Says why nothing may begin now that has to be recorded; None if it may."""

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
STOPPING: Final = (
    ("POST", re.compile(r"/v1/conversations/[^/]+/interrupt")),
    ("DELETE", re.compile(r"/v1/(workspaces/[^/]+|conversations/[^/]+/workspace)")),
    ("DELETE", re.compile(r"/v1/keys/[^/]+")),
)
"""A turn is interrupted, a workspace killed, a key revoked: nobody is to wait with these."""

RETRY_AFTER_S: Final = "5"
"""A disk that has room again is found within a second."""

REFUSAL: Final = Problem.of(
    AUDIT_UNAVAILABLE,
    title=AUDIT_TITLE,
    status=503,
    detail=(
        "Nothing begins that could not be recorded; what runs can be read, interrupted and killed. "
        "Make room on the disk of HAKOIRI_AUDIT__DIR, and this goes on by itself; /ready says more."
    ),
)


class AuditGuard:
    """Refuses what changes something while the audit log cannot be written."""

    def __init__(self, app: ASGIApp, *, hindrance: Hindrance) -> None:
        self._app = app
        self._hindrance = hindrance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is recorded, and what only reads or stops."""
        is_held_back = scope["type"] == "http" and begins(scope["method"], scope["path"])
        if is_held_back and self._hindrance() is not None:
            headers = {"Retry-After": RETRY_AFTER_S}
            await send_problem(REFUSAL, scope, receive, send, headers=headers)
            return
        await self._app(scope, receive, send)


def begins(method: str, path: str) -> bool:
    """Whether a request begins or changes something, of which there must be a record."""
    if method in READING:
        return False
    return not any(method == verb and place.fullmatch(path) for verb, place in STOPPING)
