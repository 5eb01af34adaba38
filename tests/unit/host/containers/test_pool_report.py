import pytest
from tests.unit.host.containers.fleet import LIMITS

from hakoiri.host.containers.pool_report import NO_POOL, report_of
from hakoiri.host.containers.warm_pool import Member, MemberState, Shape
from hakoiri.wire.pool import PoolSize

SHAPE = Shape("sha256:a", "runc", LIMITS)
SIZE = PoolSize(min=1, target=2, max=3)


def members(*states: MemberState) -> list[Member]:
    return [Member(f"k{number}", SHAPE, state) for number, state in enumerate(states)]


@pytest.mark.parametrize(
    ("ready", "size", "failures", "state", "reason"),
    [
        (0, NO_POOL, 0, "off", "its target is 0"),
        (0, NO_POOL, 3, "off", "its target is 0"),
        (2, SIZE, 0, "full", ""),
        (1, SIZE, 0, "refilling", "1 of 2 are ready"),
        (1, SIZE, 2, "failing", "2 starts in a row failed; the server's log says why"),
    ],
)
def test_the_state_is_told_with_its_reason(
    ready: int, size: PoolSize, failures: int, state: str, reason: str
) -> None:
    found = members(*[MemberState.READY] * ready)
    told = report_of(found, size=size, failures=failures)
    assert (told.state, told.reason, told.ready) == (state, reason, ready)


def test_members_are_counted_by_state_and_one_that_leaves_is_nobodys() -> None:
    told = report_of(members(*MemberState), size=SIZE, failures=0)
    assert (told.ready, told.starting, told.retiring, told.target) == (1, 1, 1, 2)
