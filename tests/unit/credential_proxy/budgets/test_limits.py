import math
from dataclasses import fields
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.budgets.limits import NO_LIMITS, Limits
from hakoiri.wire.budget import Budget

NUMBERS = st.none() | st.integers(0, 10**6)
LIMITS = st.builds(Limits, **{field.name: NUMBERS for field in fields(Limits)})


def values(limits: Limits) -> list[float]:
    named: list[Any] = [getattr(limits, field.name) for field in fields(Limits)]
    return [math.inf if value is None else value for value in named]


@given(LIMITS, LIMITS)
def test_of_two_the_tighter_counts_for_each(one: Limits, other: Limits) -> None:
    expected = [min(pair) for pair in zip(values(one), values(other), strict=True)]
    assert values(one.tighter(other)) == expected
    assert one.tighter(other) == other.tighter(one)
    assert one.tighter(NO_LIMITS) == one


def test_dollars_become_millionths_without_loss() -> None:
    limits = Limits.of(Budget(spend_usd_per_day=0.29, spend_usd_per_month=1234.567891))
    assert (limits.spend_microusd, limits.month_spend_microusd) == (290_000, 1_234_567_891)


def test_a_rate_lets_a_second_s_worth_come_at_once() -> None:
    assert Limits.of(Budget(requests_per_s=2.5)).requests_burst == 3
    assert Limits.of(Budget(requests_per_s=0.1)).requests_burst == 1
    assert Limits.of(Budget(requests_per_s=1, requests_burst=9)).requests_burst == 9


def test_what_needs_a_reservation_or_a_price_is_told() -> None:
    assert not Limits(bytes_up=1, concurrent_requests=1, requests_per_s=1).limits_model
    assert Limits(model_tokens=0).limits_model
    assert not Limits(model_tokens=0).limits_spend
    for limits in (Limits(spend_microusd=0), Limits(month_spend_microusd=0)):
        assert limits.limits_model
        assert limits.limits_spend
