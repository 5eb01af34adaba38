from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.containers.fleet_states import states_of
from hakoiri.host.containers.gc import Member
from hakoiri.host.containers.warm_pool import MemberState
from hakoiri.host.telemetry.container_metrics import STATES


def member(*, idle: bool = False, frozen: bool = False) -> Member:
    return Member("c", "w", 0, idle_since_s=1 if idle else None, is_frozen=frozen)


def test_each_container_is_in_one_state() -> None:
    found = states_of(
        [member(), member(), member(idle=True), member(idle=True, frozen=True)],
        warm={
            ("runc", MemberState.READY): 3,
            ("runc", MemberState.LEAVING): 1,
            ("runsc", MemberState.STARTING): 2,
            ("runsc", MemberState.RETIRING): 1,
        },
        total=13,
    )
    assert found == {"busy": 2, "idle": 1, "paused": 1, "warm": 4, "starting": 4, "retiring": 1}
    assert set(found) == set(STATES)


@given(st.lists(st.builds(member, idle=st.booleans(), frozen=st.booleans())), st.integers(0, 9))
def test_the_states_add_up(members: list[Member], starting: int) -> None:
    total = len(members) + starting
    assert sum(states_of(members, warm={}, total=total).values()) == total
