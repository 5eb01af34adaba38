from hypothesis import given
from hypothesis import strategies as st

from hakoiri.cli.supervisor.restart import (
    FIRST_DELAY_S,
    LONGEST_DELAY_S,
    GiveUp,
    Restart,
    RestartState,
    after_exit,
)


def test_a_first_death_is_answered_at_once() -> None:
    decision = after_exit(RestartState(), exit_code=137, ran_s=3600)
    assert isinstance(decision, Restart)
    assert decision.delay_s == 0


def test_deaths_in_a_row_are_answered_ever_later_and_a_steady_run_forgives_them() -> None:
    state, delays = RestartState(), []
    for _ in range(8):
        decision = after_exit(state, exit_code=1, ran_s=0.1)
        assert isinstance(decision, Restart)
        delays.append(decision.delay_s)
        state = decision.state
    assert delays[1] == FIRST_DELAY_S
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY_S
    forgiven = after_exit(state, exit_code=1, ran_s=60)
    assert isinstance(forgiven, Restart)
    assert forgiven.delay_s == delays[0]


def test_wrong_settings_are_not_tried_again() -> None:
    assert after_exit(RestartState(), exit_code=2, ran_s=60) == GiveUp(2)


@given(st.integers(0, 10**6), st.integers(0, 255), st.floats(0, 10**9))
def test_the_delay_is_always_bounded(failures: int, exit_code: int, ran_s: float) -> None:
    decision = after_exit(RestartState(failures), exit_code=exit_code, ran_s=ran_s)
    assert isinstance(decision, GiveUp) or 0 <= decision.delay_s <= LONGEST_DELAY_S
