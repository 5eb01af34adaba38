"""Days and months in UTC, counted from 1970. No I/O."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

DAY_S: Final = 86_400
_MONTHS: Final = 12
_FIRST_YEAR: Final = 1970


@dataclass(frozen=True, slots=True)
class Day:
    """A day and its month by number; `ends` and `month_ends` as text and in seconds."""

    number: int
    month: int
    ends: str
    ends_s: float
    month_ends: str
    month_ends_s: float


def day_at(now_s: float) -> Day:
    """Return the day at `now_s`, in seconds since 1970."""
    return _day(int(now_s // DAY_S))


@lru_cache(maxsize=8)
def _day(number: int) -> Day:
    day = datetime.fromtimestamp(number * DAY_S, UTC)
    first_of_next = datetime(
        day.year + day.month // _MONTHS, day.month % _MONTHS + 1, 1, tzinfo=UTC
    )
    ends = datetime.fromtimestamp((number + 1) * DAY_S, UTC)
    return Day(
        number=number,
        month=(day.year - _FIRST_YEAR) * _MONTHS + day.month - 1,
        ends=_text(ends),
        ends_s=ends.timestamp(),
        month_ends=_text(first_of_next),
        month_ends_s=first_of_next.timestamp(),
    )


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
