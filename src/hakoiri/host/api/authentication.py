"""Whose request it is: every path under /v1 belongs to a tenant, and the figures to who runs it."""

from typing import Annotated, Final

from fastapi import Depends, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from hakoiri.host.api.problems import problem_of, send_problem
from hakoiri.host.conversations.keys import KeyRing
from hakoiri.host.conversations.model import DEFAULT_TENANT
from hakoiri.host.conversations.ports import StoreError
from hakoiri.wire.problems import Problem

PROTECTED_PREFIXES: Final = ("/v1", "/metrics")
UNAUTHORISED: Final = Problem.of(
    "unauthorised",
    title="A valid key is needed",
    status=401,
    detail="Send Authorization: Bearer <key>; `hakoiri key create` makes one.",
)


class Authentication:
    """Names the tenant of each request, before its body is read. Without keys it is `default`."""

    def __init__(self, app: ASGIApp, *, keys: KeyRing, require_keys: bool) -> None:
        self._app = app
        self._keys = keys
        self._require_keys = require_keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse who has no key; pass on the rest with the tenant in the scope's state."""
        if scope["type"] != "http" or not scope["path"].startswith(PROTECTED_PREFIXES):
            await self._app(scope, receive, send)
            return
        try:
            tenant = await self._tenant(scope)
        except StoreError as error:
            await send_problem(problem_of(error), scope, receive, send)
            return
        if tenant is None:
            headers = {"WWW-Authenticate": "Bearer"}
            await send_problem(UNAUTHORISED, scope, receive, send, headers=headers)
            return
        scope.setdefault("state", {})["tenant"] = tenant
        await self._app(scope, receive, send)

    async def _tenant(self, scope: Scope) -> str | None:
        if not self._require_keys:
            return DEFAULT_TENANT
        headers = [value for key, value in scope["headers"] if key == b"authorization"]
        header = headers[0].decode("latin-1") if len(headers) == 1 else None
        return await self._keys.authenticate(header)


def _tenant_of(request: Request) -> str:
    tenant: str = request.state.tenant
    return tenant


Tenant = Annotated[str, Depends(_tenant_of)]
"""The tenant of the request, for handlers."""
