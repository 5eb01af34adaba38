"""A budget as the ledger asks it: whole numbers, spend in millionths of a dollar. No I/O."""

import math
from dataclasses import dataclass
from typing import Final, TypeVar

from hakoiri.wire.budget import Budget

MICROUSD: Final = 1_000_000
"""Millionths of a US dollar in one."""

_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one holder may use; None does not limit. Spend is in millionths of a dollar."""

    requests_per_s: float | None = None
    requests_burst: int | None = None
    concurrent_requests: int | None = None
    concurrent_tunnels: int | None = None
    bytes_up: int | None = None
    bytes_down: int | None = None
    model_tokens: int | None = None
    spend_microusd: int | None = None
    month_spend_microusd: int | None = None

    @staticmethod
    def of(budget: Budget) -> "Limits":
        """Take what `budget` says; `NO_LIMITS` itself for a budget that says nothing."""
        if budget == _NO_BUDGET:
            return NO_LIMITS
        rate, burst = budget.requests_per_s, budget.requests_burst
        if rate is not None and burst is None:
            burst = max(1, math.ceil(rate))
        return Limits(
            requests_per_s=rate,
            requests_burst=burst,
            concurrent_requests=budget.concurrent_requests,
            concurrent_tunnels=budget.concurrent_tunnels,
            bytes_up=budget.bytes_up_per_day,
            bytes_down=budget.bytes_down_per_day,
            model_tokens=budget.model_tokens_per_day,
            spend_microusd=_microusd(budget.spend_usd_per_day),
            month_spend_microusd=_microusd(budget.spend_usd_per_month),
        )

    def tighter(self, other: "Limits") -> "Limits":
        """Return the lower of both, one by one."""
        return Limits(
            _lower(self.requests_per_s, other.requests_per_s),
            _lower(self.requests_burst, other.requests_burst),
            _lower(self.concurrent_requests, other.concurrent_requests),
            _lower(self.concurrent_tunnels, other.concurrent_tunnels),
            _lower(self.bytes_up, other.bytes_up),
            _lower(self.bytes_down, other.bytes_down),
            _lower(self.model_tokens, other.model_tokens),
            _lower(self.spend_microusd, other.spend_microusd),
            _lower(self.month_spend_microusd, other.month_spend_microusd),
        )

    @property
    def limits_spend(self) -> bool:
        """Whether each model call needs a price."""
        return self.spend_microusd is not None or self.month_spend_microusd is not None

    @property
    def limits_model(self) -> bool:
        """Whether model calls must be reserved for."""
        return self.model_tokens is not None or self.limits_spend


NO_LIMITS: Final = Limits()
_NO_BUDGET: Final = Budget()


def _microusd(dollars: float | None) -> int | None:
    # by way of the shortest decimal, as the file had it: 0.29 * 1e6 is below 290000
    return None if dollars is None else round(dollars * MICROUSD)


def _lower(one: _Number | None, other: _Number | None) -> _Number | None:
    if one is None:
        return other
    return one if other is None else min(one, other)
