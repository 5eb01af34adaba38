from random import Random

import pytest
from benchmarks.paired import Pair, cost
from hypothesis import given, settings
from hypothesis import strategies as st


def pairs(share: float, *, seed: int, number: int = 60, noise: float = 0.04) -> list[Pair]:
    """Work of 100 under a load that both feel, with noise of each one's own."""
    chance = Random(seed)  # noqa: S311 - repeatable, not secret
    loads = [chance.uniform(80, 160) for _ in range(number)]
    without = [load * chance.gauss(1, noise) for load in loads]
    with_it = [load * (1 + share) * chance.gauss(1, noise) for load in loads]
    return [(one, other - one) for one, other in zip(without, with_it, strict=True)]


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**32))
def test_what_costs_nothing_meets_a_bar_that_is_far_above_the_noise(seed: int) -> None:
    assert cost([pairs(0, seed=seed)]).meets(0.05) is True


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**32))
def test_what_costs_a_tenth_misses_the_bar(seed: int) -> None:
    found = cost([pairs(0.1, seed=seed)])
    assert found.meets(0.03) is False
    assert found.low < found.share < found.high


def test_what_the_noise_hides_is_neither() -> None:
    assert cost([pairs(0.03, seed=1, number=8, noise=0.2)]).meets(0.03) is None


def test_a_load_that_both_feel_is_no_noise() -> None:
    found = cost([pairs(0.02, seed=2, noise=0)])
    assert found.low == pytest.approx(0.02)
    assert found.high == pytest.approx(0.02)


def test_processes_that_differ_among_themselves_make_the_interval_wide() -> None:
    one, other = pairs(0.02, seed=3, noise=0), pairs(0.06, seed=4, noise=0)
    found = cost([one, other])
    assert found.low == pytest.approx(0.02)
    assert found.high == pytest.approx(0.06)


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="5 at least"):
        cost([[(1.0, 0.0)] * 2, [(1.0, 0.0)] * 2])
