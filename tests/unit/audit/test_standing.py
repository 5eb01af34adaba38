import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.audit.standing import BEHIND_LIMIT_S, Standing

FULL = OSError(28, "No space left on device")


def standing(*, goes_on: bool = False) -> Standing:
    return Standing("/var/log/x", waiting_limit=100, goes_on=goes_on)


def failure(one: Standing, *, waiting: int = 0, oldest_s: float | None = None) -> str | None:
    return one.failure(waiting=waiting, oldest_s=oldest_s, now_s=1000.0)


def test_a_writer_is_well_until_a_batch_fails_and_again_once_one_was_synced() -> None:
    one = standing()
    assert failure(one) is None
    one.refused(FULL)
    told = failure(one)
    assert told is not None
    assert "/var/log/x" in told
    assert "No space left on device" in told
    one.written()
    assert failure(one) is None


@pytest.mark.parametrize(("age_s", "is_well"), [(0, True), (BEHIND_LIMIT_S, True), (10.1, False)])
def test_a_line_that_is_old_and_not_synced_tells_of_a_disk_that_hangs(
    age_s: float, *, is_well: bool
) -> None:
    assert (failure(standing(), waiting=1, oldest_s=1000.0 - age_s) is None) is is_well


@pytest.mark.parametrize(("waiting", "is_well"), [(50, True), (51, False), (100, False)])
def test_room_is_kept_for_the_ends_of_what_has_begun(waiting: int, *, is_well: bool) -> None:
    assert (failure(standing(), waiting=waiting, oldest_s=1000.0) is None) is is_well


@given(
    waiting=st.integers(0, 200),
    age_s=st.floats(0, 100) | st.none(),
    is_refused=st.booleans(),
)
def test_who_goes_on_fails_alike_and_is_never_hindered(
    waiting: int, age_s: float | None, *, is_refused: bool
) -> None:
    told = []
    for goes_on in (False, True):
        one = standing(goes_on=goes_on)
        if is_refused:
            one.refused(FULL)
        oldest_s = None if age_s is None else 1000.0 - age_s
        why = failure(one, waiting=waiting, oldest_s=oldest_s)
        told.append(why)
        assert one.hindrance(why) == (None if goes_on else why)
    assert told[0] == told[1]
