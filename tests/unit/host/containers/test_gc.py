from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.containers.gc import IdleMember, longest_idle, overdue

members = st.lists(
    st.builds(
        IdleMember,
        workspace_id=st.uuids().map(str),
        idle_since_s=st.none() | st.floats(0, 10_000),
    ),
    unique_by=lambda member: member.workspace_id,
    max_size=20,
)


@given(members, st.floats(0, 10_000), st.floats(0.1, 5_000))
def test_a_turn_in_progress_is_never_collected(
    fleet: list[IdleMember], now_s: float, timeout_s: float
) -> None:
    busy = {member.workspace_id for member in fleet if member.idle_since_s is None}
    assert not busy & set(overdue(fleet, now_s=now_s, idle_timeout_s=timeout_s))
    assert longest_idle(fleet) not in busy


def test_idle_for_the_timeout_is_overdue_and_a_moment_less_is_not() -> None:
    fleet = [IdleMember("a", 10.0), IdleMember("b", 10.1), IdleMember("c", None)]
    assert overdue(fleet, now_s=40.0, idle_timeout_s=30.0) == ["a"]


def test_the_one_that_waits_longest_gives_way_first() -> None:
    assert longest_idle([IdleMember("a", 5.0), IdleMember("b", 2.0)]) == "b"
    assert longest_idle([IdleMember("c", None)]) is None
