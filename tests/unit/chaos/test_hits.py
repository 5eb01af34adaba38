from datetime import UTC, datetime, timedelta

import pytest
from tests.chaos.hits import Hit, end, has_hit, hit_of, never_hit, within

AT = datetime(2026, 1, 1, tzinfo=UTC)
BOX = "hakoiri-c0123456789abcdef"
S = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("told", "was_hit"),
    [
        ("SIGKILL to [1, 2]", True),
        ("nobody was there", False),
        (f"{BOX}: nobody was there", False),
        ("nobody was there; nobody was there", False),
        (f"{BOX}: SIGKILL to [7]; {BOX} could not be killed: it has gone, or is frozen", True),
        ("it does not answer", False),
    ],
)
def test_who_was_not_there_was_not_hit(told: str, was_hit: bool) -> None:  # noqa: FBT001 - parametrized
    assert has_hit(told) == was_hit
    assert (hit_of("kind", told, at=AT, holds=False) is not None) == was_hit


def test_a_hit_knows_its_containers_and_when_it_is_over() -> None:
    hit = hit_of("agent", f"{BOX}: SIGKILL to [7]; {BOX}", at=AT, holds=False)
    assert hit == Hit("agent", AT, AT, ("c0123456789abcdef",))
    away = hit_of("engine killed", "killed", at=AT, holds=True)
    assert away == Hit("engine killed", AT)
    other = Hit("engine stopped", AT)
    end([away, other], "engine killed", at=AT + S)
    assert [away, other] == [Hit("engine killed", AT, AT + S), Hit("engine stopped", AT)]


def test_a_hit_counts_for_as_long_as_it_is_on_or_felt() -> None:
    over, on = Hit("over", AT, AT + 2 * S), Hit("on", AT)
    assert within([over, on], AT + S, AT + 9 * S) == [over, on]
    assert within([over, on], AT + 3 * S, AT + 9 * S) == [on]
    assert within([over, on], AT + 3 * S, AT + 9 * S, after=S) == [over, on]
    assert within([over, on], AT - 9 * S, AT - S) == []


def test_kinds_that_hit_nobody_are_named() -> None:
    assert never_hit(["a", "b", "c"], [Hit("b", AT)]) == ["a", "c"]
