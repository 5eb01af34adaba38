from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.containers.absence import (
    DOUBT_PAUSE_S,
    FIRST_PAUSE_S,
    PAUSE_MAX_S,
    Absence,
)
from hakoiri.host.containers.ports import (
    AgentUnreachableError,
    BeingReplacedError,
    CapacityError,
    ClaimConflictError,
    ContainerEndedError,
    ContainersError,
    ContainerStartError,
    EngineAwayError,
    EngineError,
    EngineFaultError,
    ImageMissingError,
    PolicyRefusedError,
    ProxyAwayError,
    ProxyControlError,
)


@pytest.mark.parametrize(
    "error",
    [
        EngineError("409"),
        ImageMissingError("no image"),
        ProxyControlError("refused"),
        PolicyRefusedError("too wide"),
        ContainerStartError("not healthy in time"),
        CapacityError("full"),
        ClaimConflictError("live elsewhere"),
        AgentUnreachableError("no answer"),
        ContainersError("anything else"),
    ],
)
def test_what_says_no_is_final(error: ContainersError) -> None:
    assert Absence(limit_s=60).pause_s(error, now_s=0) is None


@pytest.mark.parametrize(
    "error", [EngineAwayError("gone"), ProxyAwayError("gone"), BeingReplacedError("w-1")]
)
@given(limit_s=st.floats(1, 600), took_s=st.floats(0, 5))
def test_what_is_away_is_looked_for_ever_more_slowly_and_not_beyond_the_limit(
    error: ContainersError, limit_s: float, took_s: float
) -> None:
    absence = Absence(limit_s=limit_s)
    now_s, pauses = 1000.0, []
    while (pause_s := absence.pause_s(error, now_s=now_s)) is not None:
        pauses.append(pause_s)
        now_s += pause_s + took_s
        assert len(pauses) < 1000
    assert pauses[0] == min(FIRST_PAUSE_S, limit_s)
    assert all(0 < pause_s <= PAUSE_MAX_S for pause_s in pauses)
    assert all(before <= after for before, after in pairwise(pauses[:-1]))
    # what is looked for last is looked for at the limit, and each look may take its time
    assert limit_s <= now_s - 1000 + 1e-6
    assert now_s - 1000 <= limit_s + took_s + 1e-6
    assert absence.looks == len(pauses)


def test_what_an_engine_that_is_stopped_may_cause_is_tried_again_twice() -> None:
    absence = Absence(limit_s=60)
    ended, broke_off = ContainerEndedError("exit code 137"), EngineFaultError("context canceled")
    assert absence.pause_s(ended, now_s=0) == DOUBT_PAUSE_S
    for now_s in range(1, 9):
        assert absence.pause_s(EngineAwayError("gone"), now_s=now_s) is not None
    assert absence.pause_s(broke_off, now_s=10) == PAUSE_MAX_S, "the first was its stop"
    assert absence.pause_s(ended, now_s=11) is not None
    assert absence.pause_s(ended, now_s=12) is None
