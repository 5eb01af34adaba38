"""How long a recovery point stays listed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.files.points import Listed, PointReason, Retention, expired

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RETENTION = Retention(points=5, running_points=2, max_age=timedelta(days=10))


def listed(
    number: int,
    *,
    reason: PointReason = PointReason.TURN_END,
    age_days: float = 0,
    is_kept: bool = False,
) -> Listed:
    return Listed(number, NOW - timedelta(days=age_days), reason, is_kept)


def gone(*points: Listed) -> set[int]:
    return set(expired(points, retention=RETENTION, now=NOW))


def test_the_newest_stay_and_the_oldest_go() -> None:
    assert gone(*(listed(number) for number in range(1, 9))) == {1, 2, 3}


def test_what_was_replaced_too_long_ago_goes() -> None:
    assert gone(listed(1, age_days=13), listed(2, age_days=12), listed(3, age_days=1)) == {1}


def test_what_was_replaced_just_now_stays_however_old() -> None:
    """Or a restore of a workspace that nobody touched for long could not be undone."""
    assert gone(listed(1, age_days=400), listed(2)) == set()


def test_age_lets_none_go_where_it_has_no_limit() -> None:
    points = [listed(number, age_days=4000 - number) for number in range(1, 5)]
    ageless = replace(RETENTION, max_age=None)
    assert expired(points, retention=ageless, now=NOW) == []
    assert gone(*points) == {1, 2, 3}


def test_the_head_stays_however_old() -> None:
    assert gone(listed(7, age_days=400)) == set()


def test_what_is_kept_stays_and_takes_nobodys_place() -> None:
    points = [listed(number, is_kept=number < 4, age_days=50) for number in range(1, 6)]
    assert gone(*points, *(listed(number) for number in range(6, 9))) == {4}


def test_points_within_turns_do_not_push_out_the_ends_of_turns() -> None:
    running = [listed(number, reason=PointReason.RUNNING) for number in range(3, 40)]
    assert gone(listed(1), listed(2), *running, listed(40)) == set(range(3, 38))


def test_no_points_are_no_trouble() -> None:
    assert gone() == set()


def in_time(points: list[Listed]) -> list[Listed]:
    """The same points, each made after those before it."""
    times = sorted(point.created_at for point in points)
    in_order = sorted(points, key=lambda point: point.number)
    return [replace(point, created_at=at) for point, at in zip(in_order, times, strict=True)]


@given(
    st.lists(
        st.builds(
            listed,
            st.integers(1, 60),
            reason=st.sampled_from(PointReason),
            age_days=st.floats(0, 20),
            is_kept=st.booleans(),
        ),
        unique_by=lambda point: point.number,
    ).map(in_time)
)
def test_the_list_is_bounded_and_the_head_and_the_kept_stay(points: list[Listed]) -> None:
    numbers = gone(*points)
    left = [point for point in points if point.number not in numbers]
    assert sum(not point.is_kept for point in left) <= RETENTION.points
    assert not numbers & {point.number for point in points if point.is_kept}
    if points:
        assert max(point.number for point in points) not in numbers
    # who has gone once would go again: the decision does not depend on what has gone
    assert expired(left, retention=RETENTION, now=NOW) == []
