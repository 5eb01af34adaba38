import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.budgets.prices import Price, PriceList
from hakoiri.credential_proxy.budgets.usage import Usage

COUNTS = st.integers(0, 10**9)


def flat(usd: float) -> Price:
    return Price(input=usd, output=usd, cache_write=usd, cache_read=usd)


@pytest.mark.parametrize(
    ("model", "usd"),
    [
        ("claude-x", 1),
        ("claude-x2", 2),
        ("claude-x-2", 3),
        ("us.claude-x-2-v1:0", 3),
        ("claude-other", 4),
        ("arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc", 5),
        ("gpt", None),
        ("claude", None),
    ],
)
def test_the_pattern_that_says_most_counts(model: str, usd: float | None) -> None:
    prices = PriceList.of(
        {
            "claude-*": flat(4),
            "claude-x*": flat(2),
            "claude-x": flat(1),
            "*claude-x-*": flat(3),
            "*application-inference-profile/abc": flat(5),
        }
    )
    found = prices.find(model)
    assert (found.input if found else None) == usd


@given(st.text("ab*", min_size=1, max_size=12), st.text("ab", max_size=12))
def test_a_star_stands_for_any_characters(pattern: str, model: str) -> None:
    regex = ".*".join(re.escape(part) for part in pattern.split("*"))
    is_found = PriceList.of({pattern: flat(1)}).find(model) is not None
    assert is_found == (re.fullmatch(regex, model) is not None)


def test_a_cost_is_rounded_up_to_a_millionth_of_a_dollar() -> None:
    price = Price(input=3, output=15, cache_write=3.75, cache_read=0.3)
    assert price.cost_microusd(Usage(1_000_000, 0, 0, 0)) == 3_000_000
    assert price.cost_microusd(Usage(0, 0, 0, 1)) == 1
    assert price.cost_microusd(Usage(10, 10, 10, 10)) == 221  # 220.5


@given(st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS), *[st.floats(0, 1000)] * 4)
def test_the_most_is_never_less_than_the_cost(
    usage: Usage, one: float, two: float, three: float, four: float
) -> None:
    price = Price(input=one, output=two, cache_write=three, cache_read=four)
    inputs = usage.input_tokens + usage.cache_write_tokens + usage.cache_read_tokens
    most = price.most_microusd(input_tokens=inputs, output_tokens=usage.output_tokens)
    assert 0 <= price.cost_microusd(usage) <= most
