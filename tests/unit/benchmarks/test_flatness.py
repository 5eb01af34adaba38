from random import Random

import pytest
from benchmarks.flatness import fewest_samples, trend
from hypothesis import given
from hypothesis import strategies as st

XS = [float(x) for x in range(0, 1000, 10)]


@given(seed=st.integers(0, 2**32), level=st.floats(0, 500), noise=st.floats(0, 5))
def test_noise_around_a_level_is_flat(seed: int, level: float, noise: float) -> None:
    chance = Random(seed)  # noqa: S311 - repeatable, not secret
    ys = [level + chance.uniform(-noise, noise) for _ in XS]
    assert trend(XS, ys, grain=0.001).is_flat


@given(seed=st.integers(0, 2**32), noise=st.floats(0, 2))
def test_a_leak_in_noise_is_found(seed: int, noise: float) -> None:
    chance = Random(seed)  # noqa: S311 - repeatable, not secret
    ys = [50 + x / 100 + chance.uniform(-noise, noise) for x in XS]
    found = trend(XS, ys, grain=1)
    assert not found.is_flat
    assert found.slope == pytest.approx(1 / 100, rel=0.5)


def test_one_descriptor_in_many_conversations_is_found() -> None:
    assert not trend(XS, [20 + x // 100 for x in XS], grain=1).is_flat


def test_what_comes_at_first_is_no_leak() -> None:
    assert trend(XS, [min(x, 150.0) for x in XS], grain=1).is_flat


def test_what_shrinks_is_flat() -> None:
    assert trend(XS, [1000 - x for x in XS], grain=1).is_flat


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="three samples"):
        trend([1, 2], [1, 1], grain=1)


def test_the_fewest_samples_are_enough_and_one_less_is_not() -> None:
    xs = [float(x) for x in range(fewest_samples())]
    assert trend(xs, xs, grain=0).slope == pytest.approx(1)
    with pytest.raises(ValueError, match="three samples"):
        trend(xs[1:], xs[1:], grain=0)
