"""The warm pool over HTTP, for who runs the server."""

from typing import Final

from fastapi import APIRouter

from hakoiri.host.api.authentication import Tenant
from hakoiri.host.api.problems import RefusedError
from hakoiri.host.containers.pool_service import PoolService
from hakoiri.host.conversations.model import DEFAULT_TENANT
from hakoiri.wire.pool import PoolConfiguration, PoolReport
from hakoiri.wire.problems import Problem

_NOT_ALLOWED: Final = Problem.of(
    "pool-not-allowed",
    title="The warm pool is not for this key",
    status=403,
    detail=f"All tenants share it; use a key of the tenant {DEFAULT_TENANT!r}.",
)


def router(*, pool: PoolService) -> APIRouter:
    """`/v1/pool`, for the default tenant."""
    routes = APIRouter(prefix="/v1/pool")

    @routes.get("")
    async def get_pool(tenant: Tenant) -> PoolReport:
        """Show what the pool is set to, and what there is of it."""
        _require_operator(tenant)
        return pool.report()

    @routes.put("")
    async def put_pool(tenant: Tenant, configuration: PoolConfiguration) -> PoolReport:
        """Set the pool, at once and across restarts."""
        _require_operator(tenant)
        return await pool.replace(configuration)

    @routes.delete("")
    async def reset_pool(tenant: Tenant) -> PoolReport:
        """Let the server's settings count again."""
        _require_operator(tenant)
        return await pool.reset()

    return routes


def _require_operator(tenant: str) -> None:
    if tenant != DEFAULT_TENANT:
        raise RefusedError(_NOT_ALLOWED)
