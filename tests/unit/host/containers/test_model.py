import itertools

import pytest

from hakoiri.host.containers.model import (
    TRANSITIONS,
    ContainerState,
    IllegalTransitionError,
    advance,
)

EVERY_STEP = list(itertools.product(ContainerState, ContainerState))


@pytest.mark.parametrize(("state", "to"), EVERY_STEP)
def test_the_table_alone_says_which_steps_there_are(
    state: ContainerState, to: ContainerState
) -> None:
    if to in TRANSITIONS[state]:
        assert advance(state, to) is to
    else:
        with pytest.raises(IllegalTransitionError):
            advance(state, to)


def test_every_state_but_the_last_can_be_left_for_removal_and_none_returns() -> None:
    order = list(ContainerState)
    for state, targets in TRANSITIONS.items():
        assert all(order.index(to) > order.index(state) for to in targets)
        assert state is ContainerState.GONE or targets


def test_a_claimed_container_never_becomes_free_again() -> None:
    left = {ContainerState.CLAIMED, ContainerState.HALTED}
    reached = set(left)
    while left:
        left = {to for state in left for to in TRANSITIONS[state]} - reached
        reached |= left
    assert ContainerState.HEALTHY not in reached
