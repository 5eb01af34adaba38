"""Who has a budget, and what it says when one is used up. No I/O."""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

from hakoiri.credential_proxy.budgets.limits import MICROUSD
from hakoiri.credential_proxy.errors import CredentialProxyError
from hakoiri.wire.problems import OVER_BUDGET

Kind = Literal["installation", "tenant", "workspace"]
TOO_MANY_REQUESTS: Final = 429
RETRY_AFTER_MAX_S: Final = 3600
"""A client that waits as long as it is told should look again within the hour."""

PASSING_MAX_S: Final = 30
"""The agent waits so long in the middle of a turn, each time that it tries again."""


@dataclass(frozen=True, slots=True)
class Holder:
    """One that has a budget. A workspace is known with its tenant: there may be two of a name."""

    kind: Kind
    tenant: str = ""
    workspace: str = ""
    key: str = field(init=False, repr=False, compare=False)
    """A text that no other holder has: names hold no slash."""

    def __post_init__(self) -> None:
        """Put the key together once: it is looked up at each request."""
        object.__setattr__(self, "key", f"{self.kind}/{self.tenant}/{self.workspace}")

    def __str__(self) -> str:
        """Name the holder for people."""
        return {
            "installation": "the installation",
            "tenant": f"the tenant {self.tenant}",
            "workspace": f"the workspace {self.workspace}",
        }[self.kind]


_INSTALLATION: Final = Holder("installation")
_AT_ONCE: Final = 512
"""Workspaces that make requests at the same time, at most; more are only slower."""


@lru_cache(maxsize=_AT_ONCE)
def holders_of(tenant: str, workspace: str) -> tuple[Holder, Holder, Holder]:
    """Return those whose budgets a request of `workspace` is taken from, the widest first."""
    return (_INSTALLATION, _tenant(tenant), Holder("workspace", tenant, workspace))


@lru_cache(maxsize=_AT_ONCE)
def _tenant(name: str) -> Holder:
    return Holder("tenant", name)


class OverBudgetError(CredentialProxyError):
    """A budget does not allow it. `is_passing` tells that it may be tried again in a moment."""

    status: Final = TOO_MANY_REQUESTS
    code: Final = OVER_BUDGET

    def __init__(self, reason: str, *, retry_after_s: float, is_passing: bool) -> None:
        super().__init__(reason)
        most_s = PASSING_MAX_S if is_passing else RETRY_AFTER_MAX_S
        self.retry_after_s = max(1, min(most_s, math.ceil(retry_after_s)))
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
