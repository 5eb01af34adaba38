from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.budgets.calendar import DAY_S, day_at


@given(st.integers(0, 4_000_000_000))
def test_a_day_and_a_month_end_after_now_and_not_later_than_they_may(now_s: int) -> None:
    day = day_at(now_s)
    assert 0 < day.ends_s - now_s <= DAY_S
    assert day.ends_s <= day.month_ends_s <= now_s + 31 * DAY_S
    assert day_at(day.ends_s).number == day.number + 1
    assert day_at(day.month_ends_s).month == day.month + 1
    assert day_at(day.month_ends_s - 1).month == day.month


def test_a_leap_day_at_the_end_of_its_month() -> None:
    day = day_at(datetime(2024, 2, 29, 23, 59, tzinfo=UTC).timestamp())
    assert (day.ends, day.month_ends) == ("2024-03-01T00:00:00Z", "2024-03-01T00:00:00Z")
    assert day.month == (2024 - 1970) * 12 + 1
    new_year = day_at(datetime(2024, 12, 31, tzinfo=UTC).timestamp())
    assert new_year.month_ends == "2025-01-01T00:00:00Z"
