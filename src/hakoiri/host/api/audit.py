"""The audit log over HTTP: each tenant's own events, and all of them for who runs the server."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response

from hakoiri.audit.event import EventKind
from hakoiri.audit.query import CURSOR_LIMIT_CHARS, EVENTS_LIMIT, PAGE_LIMIT, AuditQuery, Name
from hakoiri.audit.search import BadTimeError, parse_time
from hakoiri.host.api.authentication import Tenant
from hakoiri.host.api.problems import RefusedError
from hakoiri.host.conversations.audit_view import AuditPage, FindAudited
from hakoiri.host.conversations.model import DEFAULT_TENANT
from hakoiri.wire.problems import Problem

TIME_LIMIT_CHARS: Final = 40
Time = Annotated[str, Query(max_length=TIME_LIMIT_CHARS)]

_NOT_ALLOWED: Final = Problem.of(
    "audit-not-allowed",
    title="Other tenants' events are not for this key",
    status=403,
    detail=f"Leave `tenant` out, or use a key of the tenant {DEFAULT_TENANT!r}.",
)


def router(*, find: FindAudited) -> APIRouter:
    """`/v1/audit`."""
    routes = APIRouter(prefix="/v1/audit")

    @routes.get("")
    async def search_audit_log(
        *,
        tenant: Tenant,
        response: Response,
        event: Annotated[list[EventKind] | None, Query(max_length=EVENTS_LIMIT)] = None,
        workspace: Name | None = None,
        container: Name | None = None,
        conversation: Name | None = None,
        text: Name | None = None,
        of_tenant: Annotated[Name | None, Query(alias="tenant")] = None,
        since: Time | None = None,
        until: Time | None = None,
        failed: bool = False,
        limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT)] = 50,
        before: Annotated[str | None, Query(max_length=CURSOR_LIMIT_CHARS)] = None,
    ) -> AuditPage:
        """Show what was done, newest first.

        A tenant sees its own events. Whoever runs the server sees all, those of no tenant too, and
        may ask for one `tenant`. Times are `2026-11-26T12:00` (UTC) or `15m`, `2h`, `7d` ago.
        """
        response.headers["Cache-Control"] = "no-store"
        return await find(
            AuditQuery(
                tenant=_visible(tenant, of_tenant),
                events=event or [],
                workspace=workspace,
                container=container,
                conversation=conversation,
                text=text,
                since_ms=_time("since", since),
                until_ms=_time("until", until),
                failed_only=failed,
                limit=limit,
                before=before,
            )
        )

    return routes


def _visible(tenant: str, asked: str | None) -> str | None:
    """Return whose events are looked at; None for all."""
    if tenant == DEFAULT_TENANT:
        return asked
    if asked not in (None, tenant):
        raise RefusedError(_NOT_ALLOWED)
    return tenant


def _time(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        found = parse_time(text, now=datetime.now(UTC))
        if found >= 0:
            return found
        reason = f"{text!r} is before 1970"
    except BadTimeError as error:
        reason = str(error)
    raise RefusedError(
        Problem.of(
            "invalid-request",
            title="The request is not valid",
            status=422,
            detail=f"{name}: {reason}",
        )
    )
