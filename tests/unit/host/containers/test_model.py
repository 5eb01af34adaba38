import itertools
import re

import pytest

from hakoiri.host.containers.model import (
    TRANSITIONS,
    ContainerState,
    IllegalTransitionError,
    advance,
    is_of,
    new_container_id,
)
from hakoiri.wire.guard import CONTAINER_ID_PATTERN

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


def test_every_state_leads_to_removal_and_none_back_but_a_pause() -> None:
    order = list(ContainerState)
    for state, targets in TRANSITIONS.items():
        thaws = {ContainerState.CLAIMED} if state is ContainerState.PAUSED else set()
        assert all(order.index(to) > order.index(state) for to in targets - thaws)
        assert ContainerState.STOPPING in targets or not targets - {ContainerState.GONE}


def test_a_claimed_container_never_becomes_free_again() -> None:
    left = {ContainerState.CLAIMED}
    reached = set(left)
    while left:
        left = {to for state in left for to in TRANSITIONS[state]} - reached
        reached |= left
    assert ContainerState.HEALTHY not in reached


def test_a_containers_id_tells_whose_it_is() -> None:
    ids = {new_container_id("one") for _ in range(100)}
    assert len(ids) == 100
    for container_id in ids:
        assert re.fullmatch(CONTAINER_ID_PATTERN, container_id)
        assert is_of(container_id, "one")
        assert not is_of(container_id, "other")
