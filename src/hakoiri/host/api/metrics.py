"""`/metrics`: figures of the server and the proxy, for Prometheus; `/metrics/workspaces` beside."""

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from hakoiri.host.api.authentication import Tenant
from hakoiri.host.api.problems import RefusedError
from hakoiri.host.conversations.model import DEFAULT_TENANT
from hakoiri.host.telemetry.exposition import CONTENT_TYPE
from hakoiri.wire.problems import Problem

PATH: Final = "/metrics"
WORKSPACES_PATH: Final = "/metrics/workspaces"
Figures = Callable[[], Awaitable[str]]
"""Gives figures in Prometheus's text format."""

_NOT_ALLOWED: Final = Problem.of(
    "metrics-not-allowed",
    title="The figures are not for this key",
    status=403,
    detail=f"They tell of all tenants; use a key of the tenant {DEFAULT_TENANT!r}.",
)


def router(*, figures: Figures, workspaces: Figures) -> APIRouter:
    """Both pages, for the default tenant: who runs the server."""
    routes = APIRouter()

    @routes.get(PATH, response_class=PlainTextResponse)
    async def metrics(tenant: Tenant) -> Response:
        """Tell the figures of the server and, if it answers, of the proxy."""
        return await _answer(tenant, figures)

    @routes.get(WORKSPACES_PATH, response_class=PlainTextResponse)
    async def workspace_metrics(tenant: Tenant) -> Response:
        """Tell the figures of each workspace that has a container now, of 200 at most."""
        return await _answer(tenant, workspaces)

    return routes


async def _answer(tenant: str, figures: Figures) -> Response:
    if tenant != DEFAULT_TENANT:
        raise RefusedError(_NOT_ALLOWED)
    headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
    return Response(await figures(), headers=headers)
