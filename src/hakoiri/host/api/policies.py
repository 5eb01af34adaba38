"""Policies over HTTP: what a tenant's workspaces may reach."""

from fastapi import APIRouter
from pydantic import BaseModel

from hakoiri.host.api.authentication import Tenant
from hakoiri.host.conversations.policy_service import PolicyService
from hakoiri.wire.messages import Identifier
from hakoiri.wire.policy import Policy


class PolicyList(BaseModel):
    """All policies that count, by name; `default` is always there."""

    policies: dict[str, Policy]


def router(*, policies: PolicyService) -> APIRouter:
    """`/v1/policies`."""
    routes = APIRouter(prefix="/v1/policies")

    @routes.get("")
    async def list_policies(tenant: Tenant) -> PolicyList:
        """List policies."""
        return PolicyList(policies=await policies.list(tenant=tenant))

    @routes.get("/{name}")
    async def get_policy(tenant: Tenant, name: Identifier) -> Policy:
        """Show one policy."""
        return await policies.effective(tenant=tenant, name=name)

    @routes.put("/{name}")
    async def put_policy(tenant: Tenant, name: Identifier, policy: Policy) -> Policy:
        """Make or replace a policy; live workspaces are under it when this answers."""
        await policies.replace(tenant=tenant, name=name, policy=policy)
        return policy

    return routes
