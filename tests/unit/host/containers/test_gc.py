"""Who may go, who may be frozen, and who never."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.containers.gc import (
    GcLimits,
    Member,
    due,
    strays,
    to_freeze,
)
from hakoiri.wire.keeping import DAY_S, LIFETIME_MAX_S, LIFETIME_MIN_S, Keeping

LIMITS = GcLimits(idle_timeout_s=30, lifetime_s=1000, pause_after_s=10, stray_grace_s=60)
ALL = frozenset({"a", "b", "c"})
OURS, OTHER = "c0123456789abcdef", "cfedcba9876543210"
TIMES = st.floats(0, 100_000)
nobody: frozenset[str] = frozenset()


def member(name: str, idle_since_s: float | None, **fields: object) -> Member:
    made = Member(name, f"w-{name}", started_at_s=0, idle_since_s=idle_since_s)
    return replace(made, **fields)  # type: ignore[arg-type]


def names(members: list[Member], now_s: float, *, running: frozenset[str] = ALL) -> list[str]:
    found = due(members, running=running, now_s=now_s, limits=LIMITS)
    return [f"{one.member.container_id} {one.reason}" for one in found]


fleets = st.lists(
    st.builds(
        Member,
        container_id=st.uuids().map(str),
        workspace_id=st.uuids().map(str),
        started_at_s=TIMES,
        idle_since_s=st.none() | TIMES,
        is_frozen=st.booleans(),
        is_unsaved=st.booleans(),
    ),
    unique_by=lambda one: one.workspace_id,
    max_size=20,
)


@given(fleets, TIMES, st.sets(st.uuids().map(str)))
def test_a_turn_in_progress_is_never_touched(
    fleet: list[Member], now_s: float, running: set[str]
) -> None:
    busy = {one.workspace_id for one in fleet if one.idle_since_s is None}
    found = due(fleet, running=frozenset(running), now_s=now_s, limits=LIMITS)
    assert not busy & {one.member.workspace_id for one in found}
    assert not busy & {one.workspace_id for one in to_freeze(fleet, now_s=now_s, limits=LIMITS)}


def test_what_is_known_to_be_lost_may_go_without_asking_the_engine() -> None:
    fleet = [member("a", 10.0, is_lost=True), member("b", 10.0), member("c", None, is_lost=True)]
    found = due(fleet, running=None, now_s=11, limits=LIMITS)
    assert [one.member.container_id for one in found] == ["a"]


def test_idle_for_the_timeout_may_go_and_a_moment_less_may_not() -> None:
    fleet = [member("a", 10.0), member("b", 10.1), member("c", None)]
    assert names(fleet, 40.0) == ["a idle"]


def test_one_that_lived_long_enough_goes_at_its_next_pause_and_not_in_a_turn() -> None:
    assert names([member("a", 999.0), member("b", None)], 1000.0) == ["a lifetime"]
    assert names([member("a", 999.0, started_at_s=1)], 1000.0) == []


def test_one_that_ended_between_two_turns_may_go_at_once() -> None:
    fleet = [member("a", 0.0), member("b", None)]
    assert names(fleet, 1.0, running=frozenset()) == ["a dead"]
    assert due(fleet, running=None, now_s=1.0, limits=LIMITS) == [], "nobody asked"


def test_what_is_idle_is_frozen_once() -> None:
    fleet = [member("a", 0.0), member("b", 0.1), member("c", 0.0, is_frozen=True)]
    assert [one.workspace_id for one in to_freeze(fleet, now_s=10.0, limits=LIMITS)] == ["w-a"]
    never = replace(LIMITS, pause_after_s=None)
    assert to_freeze(fleet, now_s=10_000.0, limits=never) == []


def test_what_nobody_owns_goes_after_the_grace() -> None:
    found, seen = strays(
        [OURS], owned=nobody, left_over=nobody, first_seen={}, now_s=100, limits=LIMITS
    )
    assert (found, seen) == ([], {OURS: 100})
    found, seen = strays(
        [OURS], owned=nobody, left_over=nobody, first_seen=seen, now_s=159, limits=LIMITS
    )
    assert found == []
    found, _ = strays(
        [OURS], owned=nobody, left_over=nobody, first_seen=seen, now_s=160, limits=LIMITS
    )
    assert found == [OURS]


def test_what_this_server_could_not_remove_gets_no_grace() -> None:
    found, _ = strays(
        [OURS, OTHER],
        owned=nobody,
        left_over=frozenset({OURS}),
        first_seen={},
        now_s=0,
        limits=LIMITS,
    )
    assert found == [OURS]


def test_the_grace_begins_anew_when_it_was_owned_or_gone_meanwhile() -> None:
    for present, owned in ((OURS, frozenset({OURS})), (OTHER, frozenset({OTHER}))):
        _, seen = strays(
            [present],
            owned=owned,
            left_over=nobody,
            first_seen={OURS: 0},
            now_s=9999,
            limits=LIMITS,
        )
        assert seen == {}


@given(st.sets(st.sampled_from([OURS, OTHER])), TIMES)
def test_what_is_owned_is_never_a_stray(owned: set[str], now_s: float) -> None:
    found, _ = strays(
        [OURS, OTHER],
        owned=frozenset(owned),
        left_over=frozenset(owned),
        first_seen={OURS: 0, OTHER: 0},
        now_s=now_s,
        limits=LIMITS,
    )
    assert not owned & set(found)


@given(st.text())
def test_what_has_not_the_form_of_our_ids_is_somebody_elses(name: str) -> None:
    found, seen = strays(
        [name, "chat-c-1"],
        owned=nobody,
        left_over=frozenset({name}),
        first_seen={name: 0},
        now_s=9999,
        limits=LIMITS,
    )
    assert (found, seen) == ([], {})


asked = st.none() | st.builds(
    Keeping,
    idle_timeout_s=st.none() | st.floats(1, DAY_S),
    pause_after_s=st.none() | st.floats(1, DAY_S),
    lifetime_s=st.none() | st.floats(LIFETIME_MIN_S, LIFETIME_MAX_S),
)


@given(asked, st.none() | st.floats(1, DAY_S), st.floats(0, DAY_S))
def test_a_policy_never_widens_what_the_server_allows(
    keeping: Keeping | None, pause_after_s: float | None, most_s: float
) -> None:
    limits = replace(LIMITS, pause_after_s=pause_after_s, idle_timeout_max_s=most_s)
    own = limits.under(keeping)
    assert own.idle_timeout_s <= max(limits.idle_timeout_s, most_s)
    assert own.lifetime_s <= limits.lifetime_s
    assert own.stray_grace_s == limits.stray_grace_s
    if pause_after_s is not None:
        assert own.pause_after_s is not None
        assert own.pause_after_s <= pause_after_s
    if keeping is None:
        assert own == limits


def test_each_container_goes_by_its_own_policy() -> None:
    fleet = [
        member("a", 0.0),
        member("b", 0.0, asked=Keeping(idle_timeout_s=5)),
        member("c", 0.0, asked=Keeping(lifetime_s=60)),
    ]
    assert names(fleet, 5.0) == ["b idle"]
    fleet[0] = replace(fleet[0], idle_since_s=59.0)
    fleet[2] = replace(fleet[2], idle_since_s=59.0)
    assert names(fleet, 60.0) == ["b idle", "c lifetime"]


def test_a_policy_may_ask_for_more_idle_time_only_where_the_server_lets_it() -> None:
    patient = [member("a", 0.0, asked=Keeping(idle_timeout_s=100))]
    assert names(patient, 30.0) == ["a idle"]
    wider = replace(LIMITS, idle_timeout_max_s=50)
    assert not due(patient, running=ALL, now_s=49, limits=wider)
    assert due(patient, running=ALL, now_s=50, limits=wider)
    other = [member("b", 0.0)]
    assert due(other, running=ALL, now_s=30, limits=wider), "who asks for nothing has the usual"


def test_a_policy_may_have_its_containers_frozen_sooner_or_at_all() -> None:
    fleet = [member("a", 0.0), member("b", 0.0, asked=Keeping(pause_after_s=2))]
    assert [one.workspace_id for one in to_freeze(fleet, now_s=2, limits=LIMITS)] == ["w-b"]
    never = replace(LIMITS, pause_after_s=None)
    assert [one.workspace_id for one in to_freeze(fleet, now_s=100, limits=never)] == ["w-b"]
