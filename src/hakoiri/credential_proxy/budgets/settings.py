"""The budgets of the proxy's own file, and which of them hold for whom. No I/O."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Final

from pydantic import Field

from hakoiri.credential_proxy.budgets.limits import Limits
from hakoiri.credential_proxy.budgets.prices import PriceList
from hakoiri.wire.budget import Budget
from hakoiri.wire.messages import Identifier, Message

TENANTS_LIMIT: Final = 10_000


class BudgetSettings(Message):
    """Budgets of the whole installation, of each tenant, and of each workspace.

    What `tenants` gives for a tenant takes the place of what `tenant` says, field by field.
    `default_max_tokens` is reserved for a request that names no most of its own; without it such a
    request is refused where a budget of tokens or spend is in force.
    """

    installation: Budget = Budget()
    tenant: Budget = Budget()
    tenants: dict[Identifier, Budget] = Field(default={}, max_length=TENANTS_LIMIT)
    workspace: Budget = Budget()
    default_max_tokens: Annotated[int, Field(ge=1, le=10**7)] | None = None

    @cached_property
    def _installation(self) -> Limits:
        return Limits.of(self.installation)

    @cached_property
    def _workspace(self) -> Limits:
        return Limits.of(self.workspace)

    @cached_property
    def _tenant(self) -> Limits:
        return Limits.of(self.tenant)

    @cached_property
    def _tenants(self) -> dict[str, Limits]:
        return {name: Limits.of(self.tenant_budget(name)) for name in self.tenants}

    def tenant_budget(self, tenant: str) -> Budget:
        """Return the budget of `tenant`, its own fields in place of the common ones."""
        own = self.tenants.get(tenant)
        return self.tenant if own is None else self.tenant.model_copy(update=_given(own))

    def limits_for(self, tenant: str, own: Budget | None) -> tuple[Limits, Limits, Limits]:
        """Return the limits of the installation, of `tenant`, and of a workspace of it.

        `own` is the budget of the workspace's policy; it can only make its limits tighter.
        """
        workspace = self._workspace
        if own is not None:
            workspace = workspace.tighter(Limits.of(own))
        return self._installation, self._tenants.get(tenant, self._tenant), workspace


def _given(budget: Budget) -> dict[str, float]:
    return budget.model_dump(exclude_none=True)


@dataclass(frozen=True, slots=True)
class Terms:
    """Budgets and prices that are in force together."""

    budgets: BudgetSettings
    prices: PriceList
