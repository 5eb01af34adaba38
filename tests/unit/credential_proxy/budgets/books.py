"""Budgets and accounts for tests."""

from typing import Any

from hakoiri.credential_proxy.budgets.account import Account
from hakoiri.credential_proxy.budgets.holder import Holder
from hakoiri.credential_proxy.budgets.ledger import Claims, Ledger
from hakoiri.credential_proxy.budgets.limits import NO_LIMITS, Limits
from hakoiri.credential_proxy.budgets.prices import Price, PriceList
from hakoiri.credential_proxy.budgets.settings import BudgetSettings, Terms

NOON_S = 20_000 * 86_400 + 43_200.0
"""Noon of 2024-10-04, in UTC."""

DAY_S = 86_400.0
HOLDER = Holder("workspace", "t", "w")


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now_s: float = NOON_S) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def terms(prices: dict[str, Price] | None = None, **budgets: Any) -> Terms:
    return Terms(BudgetSettings.model_validate(budgets), PriceList.of(prices or {}))


def claims(ledger: Ledger, now_s: float = NOON_S, **limits: Any) -> Claims:
    """One account of `ledger`, under these limits."""
    made = Limits(**limits)
    return ledger.claims([HOLDER], [made], now_s)


def account_of(
    ledger: Ledger, holder: Holder, now_s: float = NOON_S, limits: Limits = NO_LIMITS
) -> Account:
    [(account, _)] = ledger.claims([holder], [limits], now_s)
    return account
