import pytest
from pydantic import ValidationError

from hakoiri.credential_proxy.budgets.limits import NO_LIMITS
from hakoiri.credential_proxy.budgets.settings import BudgetSettings
from hakoiri.wire.budget import Budget

SETTINGS = BudgetSettings.model_validate(
    {
        "installation": {"spend_usd_per_day": 100},
        "tenant": {"model_tokens_per_day": 10, "concurrent_requests": 3},
        "tenants": {"big": {"model_tokens_per_day": 1000}},
        "workspace": {"model_tokens_per_day": 5},
    }
)


def test_a_tenant_s_own_figures_take_the_place_of_the_common_ones_one_by_one() -> None:
    _, big, _ = SETTINGS.limits_for("big", None)
    assert (big.model_tokens, big.concurrent_requests) == (1000, 3)
    _, other, _ = SETTINGS.limits_for("other", None)
    assert (other.model_tokens, other.concurrent_requests) == (10, 3)


def test_a_policy_s_budget_only_tightens_the_workspace_s() -> None:
    installation, tenant, workspace = SETTINGS.limits_for(
        "big", Budget(model_tokens_per_day=10**9, concurrent_tunnels=1)
    )
    assert (workspace.model_tokens, workspace.concurrent_tunnels) == (5, 1)
    assert tenant.concurrent_tunnels is None
    assert installation.spend_microusd == 100_000_000
    _, _, tighter = SETTINGS.limits_for("big", Budget(model_tokens_per_day=4))
    assert tighter.model_tokens == 4


def test_nothing_given_limits_nothing() -> None:
    assert BudgetSettings().limits_for("t", None) == (NO_LIMITS, NO_LIMITS, NO_LIMITS)


@pytest.mark.parametrize(
    "text",
    [
        {"workspace": {"model_tokens_per_day": -1}},
        {"workspace": {"spend_usd_per_day": float("nan")}},
        {"workspace": {"requests_per_s": 0}},
        {"workspace": {"requests_burst": 3}},
        {"workspace": {"tokens": 3}},
        {"tenants": {"Not A Name": {}}},
        {"default_max_tokens": 0},
    ],
)
def test_what_makes_no_sense_is_refused(text: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BudgetSettings.model_validate(text)
