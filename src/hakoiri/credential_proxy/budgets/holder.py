"""Who has a budget, and what it says when one is used up. No I/O."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from hakoiri.credential_proxy.budgets.limits import MICROUSD
from hakoiri.credential_proxy.errors import CredentialProxyError

Kind = Literal["installation", "tenant", "workspace"]
OVER_BUDGET: Final = "over-budget"
TOO_MANY_REQUESTS: Final = 429
RETRY_AFTER_MAX_S: Final = 3600
"""A client that waits as long as it is told should look again within the hour."""


@dataclass(frozen=True, slots=True)
class Holder:
    """One that has a budget. A workspace is known with its tenant: there may be two of a name."""

    kind: Kind
    tenant: str = ""
    workspace: str = ""

    def __str__(self) -> str:
        """Name the holder for people."""
        return {
            "installation": "the installation",
            "tenant": f"the tenant {self.tenant}",
            "workspace": f"the workspace {self.workspace}",
        }[self.kind]


@lru_cache(maxsize=4096)
def holders_of(tenant: str, workspace: str) -> tuple[Holder, Holder, Holder]:
    """Return those whose budgets a request of `workspace` is taken from, the widest first."""
    return (
        Holder("installation"),
        Holder("tenant", tenant),
        Holder("workspace", tenant, workspace),
    )


class OverBudgetError(CredentialProxyError):
    """A budget does not allow it. `is_passing` tells that it may be tried again in a moment."""

    status: Final = TOO_MANY_REQUESTS
    code: Final = OVER_BUDGET

    def __init__(self, reason: str, *, retry_after_s: float, is_passing: bool) -> None:
        super().__init__(reason)
        self.retry_after_s = max(1, min(RETRY_AFTER_MAX_S, -int(-retry_after_s // 1)))
        self.is_passing = is_passing


def over_rate(holder: Holder, budget: str, *, limit: float, wait_s: float) -> OverBudgetError:
    """Tell that `holder` does too much at once."""
    figures = f": the limit is {limit:g}" if holder.kind != "installation" else ""
    reason = f"{holder} is over its budget {budget}{figures}; try again in a moment"
    return OverBudgetError(reason, retry_after_s=wait_s, is_passing=True)


def over_sum(
    holder: Holder, budget: str, *, limit: int, used: int, asked: int, resets: str, reset_s: float
) -> OverBudgetError:
    """Tell that `holder` has used up what it may until `resets`.

    What the installation has used is not for one container to know.
    """
    figures = ""
    if holder.kind != "installation":
        told = _dollars if budget.startswith("spend_usd") else str
        figures = f": the limit is {told(limit)}, {told(used)} are used or reserved"
        figures += f", and this request may need {told(asked)} more" if asked else ""
    reason = f"{holder} is over its budget {budget}{figures}; it begins anew at {resets}"
    return OverBudgetError(reason, retry_after_s=reset_s, is_passing=False)


def _dollars(microusd: int) -> str:
    whole, rest = divmod(microusd, MICROUSD)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")
