from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from hakoiri.credential_proxy.metrics.budget_metrics import HOLDERS, BudgetMetrics
from hakoiri.wire.budget import Budget
from hakoiri.wire.budget_report import BudgetReport, BudgetUse

NOTHING = dict.fromkeys(
    (
        "requests",
        "open_requests",
        "open_tunnels",
        "bytes_up",
        "bytes_down",
        "model_tokens",
        "untold_calls",
        "model_tokens_reserved",
        "spend_microusd",
        "spend_microusd_reserved",
        "month_spend_microusd",
    ),
    0,
)


def use(kind: str, budget: Budget, **used: int | str) -> BudgetUse:
    document: dict[str, Any] = {"kind": kind, "budget": budget, **NOTHING}
    if kind != "installation":
        document["tenant"] = "planted-tenant"
    document |= used
    return BudgetUse.model_validate(document)


BUDGETS = BudgetReport(
    day_ends="-",
    month_ends="-",
    holders=[
        use("tenant", Budget(model_tokens_per_day=10), tenant=f"t{number}")
        for number in range(1000)
    ],
    left_out=0,
)
"""As many holders as a report may have."""


def page(*holders: BudgetUse, fault: str = "") -> str:
    registry = CollectorRegistry()
    report = BudgetReport(
        day_ends="-", month_ends="-", holders=list(holders), left_out=0, fault=fault
    )
    registry.register(BudgetMetrics(lambda: report))
    return generate_latest(registry).decode()


def test_of_each_limit_the_largest_share_is_told_and_not_whose_it_is() -> None:
    budget = Budget(model_tokens_per_day=1000, spend_usd_per_month=2)
    told = page(
        use("tenant", budget, model_tokens=250, month_spend_microusd=1_000_000),
        use("tenant", budget, model_tokens=900),
        use("installation", Budget(spend_usd_per_day=10), spend_microusd=5_000_000),
    )
    for line in (
        'hakoiri_proxy_budget_used_ratio{holder="tenant",limit="model_tokens"} 0.9',
        'hakoiri_proxy_budget_used_ratio{holder="tenant",limit="spend_month"} 0.5',
        'hakoiri_proxy_budget_used_ratio{holder="installation",limit="spend_day"} 0.5',
        "hakoiri_proxy_budget_faulty 0.0",
    ):
        assert line in told
    assert told.count("hakoiri_proxy_budget_used_ratio{") == 3
    assert "planted-tenant" not in told


def test_a_budget_of_nothing_is_used_up_and_a_fault_is_told() -> None:
    told = page(use("workspace", Budget(bytes_up_per_day=0)), fault="disk full")
    assert 'limit="bytes_up"} 1.0' in told
    assert "hakoiri_proxy_budget_faulty 1.0" in told
    assert set(HOLDERS) == {"installation", "tenant", "workspace"}


def test_the_page_is_as_short_for_a_thousand_holders_as_for_one() -> None:
    assert page(*BUDGETS.holders).count("budget_used_ratio{") == 1
