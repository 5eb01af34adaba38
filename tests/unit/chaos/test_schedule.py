from hypothesis import given
from hypothesis import strategies as st
from tests.chaos.disturbances import DISTURBANCES, KINDS
from tests.chaos.schedule import Kind, Strike, plan

QUICK = Kind("quick")
AWAY = Kind("away", (1.0, 5.0))

seeds = st.integers(0, 2**32)


@given(seed=seeds)
def test_the_same_seed_is_the_same_storm(seed: int) -> None:
    assert plan(seed, kinds=KINDS, seconds=60, every_s=3) == plan(
        seed, kinds=KINDS, seconds=60, every_s=3
    )


def test_another_seed_is_another_storm() -> None:
    storms = {plan(seed, kinds=KINDS, seconds=60, every_s=3) for seed in range(20)}
    assert len(storms) == 20


@given(seed=seeds)
def test_what_is_taken_away_is_brought_back_before_it_is_taken_again(seed: int) -> None:
    away = False
    for strike in plan(seed, kinds=(QUICK, AWAY), seconds=60, every_s=1):
        if strike.kind == "away":
            assert (strike.act == "end") == away
            away = not away
    assert not away


@given(seed=seeds, seconds=st.floats(0, 300))
def test_it_lasts_no_longer_than_it_should(seed: int, seconds: float) -> None:
    strikes = plan(seed, kinds=KINDS, seconds=seconds, every_s=2)
    assert [*strikes] == sorted(strikes, key=lambda strike: strike.at_s)
    assert all(0 <= strike.at_s <= seconds for strike in strikes)


@given(seed=seeds)
def test_each_kind_comes_once_before_any_comes_twice(seed: int) -> None:
    begun: list[Strike] = [
        strike
        for strike in plan(seed, kinds=KINDS, seconds=4 * len(KINDS), every_s=2)
        if strike.act == "begin"
    ]
    assert len(begun) >= len(KINDS)
    assert {strike.kind for strike in begun[: len(KINDS)]} == set(DISTURBANCES)


def test_what_is_away_for_a_time_has_an_end_and_nothing_else_has() -> None:
    for one in DISTURBANCES.values():
        assert (one.end is None) == (one.holds_s is None)
