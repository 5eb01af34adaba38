"""What the control socket tells of budgets. No I/O."""

from typing import Final

from hakoiri.credential_proxy.budgets.account import Account
from hakoiri.credential_proxy.budgets.calendar import Day, day_at
from hakoiri.credential_proxy.budgets.ledger import Ledger
from hakoiri.credential_proxy.budgets.settings import Terms
from hakoiri.wire.budget import Budget
from hakoiri.wire.budget_report import BudgetReport, BudgetUse

HOLDERS_TOLD: Final = 1000


def report(ledger: Ledger, terms: Terms, *, now_s: float, fault: str) -> BudgetReport:
    """Tell what each holder has used today, those with the most first."""
    today = day_at(now_s)
    accounts, left_out = ledger.largest(HOLDERS_TOLD)
    return BudgetReport(
        day_ends=today.ends,
        month_ends=today.month_ends,
        holders=[_use(account, terms, today) for account in accounts],
        left_out=left_out,
        fault=fault[:4096],
    )


def _use(account: Account, terms: Terms, today: Day) -> BudgetUse:
    account.begin(today)
    holder = account.holder
    return BudgetUse(
        kind=holder.kind,
        tenant=holder.tenant or None,
        workspace=holder.workspace or None,
        requests=account.requests,
        open_requests=account.open_requests,
        open_tunnels=account.open_tunnels,
        bytes_up=account.bytes_up,
        bytes_down=account.bytes_down,
        model_tokens=account.model_tokens,
        untold_calls=account.untold_calls,
        model_tokens_reserved=account.reserved_tokens,
        spend_microusd=account.spend_microusd,
        spend_microusd_reserved=account.reserved_microusd,
        month_spend_microusd=account.month_spend_microusd,
        budget=_budget(account, terms),
    )


def _budget(account: Account, terms: Terms) -> Budget:
    budgets, holder = terms.budgets, account.holder
    if holder.kind == "installation":
        return budgets.installation
    if holder.kind == "workspace":
        return budgets.workspace
    return budgets.tenant_budget(holder.tenant)
