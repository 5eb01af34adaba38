import pytest
from pydantic import ValidationError

from hakoiri.wire.budget import Budget
from hakoiri.wire.policy import Policy


def test_a_policy_may_carry_a_budget_and_needs_none() -> None:
    policy = Policy.model_validate_json('{"budget": {"spend_usd_per_day": 0.5}}')
    assert policy.budget == Budget(spend_usd_per_day=0.5)
    assert Policy.model_validate_json(policy.model_dump_json()) == policy
    assert Policy().budget is None


@pytest.mark.parametrize(
    "text",
    [
        '{"spend_usd_per_day": -0.1}',
        '{"spend_usd_per_day": "NaN"}',
        '{"model_tokens_per_day": 1.5}',
        '{"requests_per_s": 0}',
        '{"requests_burst": 2}',
        '{"bytes_up_per_day": 1e30}',
        '{"max_tokens": 1}',
    ],
)
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Budget.model_validate_json(text)
