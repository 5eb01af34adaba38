"""The waiting line is fair and has no holes; places are never given twice."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hakoiri.host.containers.admission import (
    RETRY_MAX_S,
    Decision,
    Line,
    Pace,
    Places,
    Refusal,
    Waiter,
    decide,
    idle_first,
)
from hakoiri.host.containers.gc import Member

TENANTS = st.sampled_from(["a", "b", "c", "d"])


def waiter(number: int, tenant: str = "a", *, resumes: bool = False) -> Waiter:
    return Waiter(number, tenant, f"w{number}", 0.0, resumes)


def line_of(tenants: str) -> Line:
    """A line that the tenants joined in this order; numbers count from 1."""
    line = Line(limit=10_000, tenant_limit=10_000)
    for number, tenant in enumerate(tenants, 1):
        line.join(waiter(number, tenant))
    return line


def served(line: Line) -> str:
    """The tenants in the order in which all are served."""
    return "".join(line.take_first().tenant for _ in range(len(line)))


def test_within_a_tenant_who_came_first_is_first() -> None:
    line = line_of("aaa")
    assert [line.take_first().number for _ in range(3)] == [1, 2, 3]


def test_tenants_take_turns() -> None:
    assert served(line_of("aaaabbc")) == "abcabaa"


def test_a_flood_puts_anothers_first_back_by_one_place() -> None:
    line = line_of("a" * 100 + "b")
    assert [one.tenant for one in line.in_order()].index("b") == 1


def test_who_was_served_waits_for_the_others_turns() -> None:
    line = line_of("aab")
    assert line.take_first().number == 1
    line.join(waiter(4, "a"))
    assert [line.take_first().number for _ in range(3)] == [3, 2, 4]


def test_a_turn_that_lost_its_container_comes_before_all() -> None:
    line = line_of("ab")
    line.join(waiter(3, "a", resumes=True))
    assert [one.number for one in line.in_order()] == [3, 1, 2]
    line.leave(waiter(3, "a", resumes=True))
    assert served(line) == "ab"


def test_the_line_is_bounded_and_so_is_each_tenants_part() -> None:
    line = Line(limit=3, tenant_limit=2)
    for number in (1, 2):
        assert line.refusal("a") is None
        line.join(waiter(number, "a"))
    assert line.refusal("a") is Refusal.TENANT_FULL
    assert line.refusal("b") is None
    line.join(waiter(3, "b"))
    assert line.refusal("c") is Refusal.LINE_FULL


class FairLine(RuleBasedStateMachine):
    """Any coming, leaving and serving; positions are followed."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line(limit=10_000, tenant_limit=10_000)
        self.number = 0
        self.waiting: dict[int, Waiter] = {}
        self.positions: dict[int, int] = {}
        self.passed: dict[int, int] = {}
        """How often another was served while one waited as its tenant's first."""

    def firsts(self) -> dict[int, Waiter]:
        found: dict[str, Waiter] = {}
        for one in self.line.in_order():
            found.setdefault(one.tenant, one)
        return {one.number: one for one in found.values()}

    def follow(self, *, may_rise: bool) -> None:
        """Positions only fall; those of tenants' firsts even when somebody comes."""
        now = {one.number: place for place, one in enumerate(self.line.in_order(), 1)}
        firsts = self.firsts()
        for number, place in now.items():
            before = self.positions.get(number)
            if before is not None and (not may_rise or number in firsts):
                assert place <= before
            elif before is not None:
                assert place <= before + 1
        self.positions = now

    @rule(tenant=TENANTS)
    def come(self, tenant: str) -> None:
        self.number += 1
        one = waiter(self.number, tenant)
        self.waiting[self.number] = one
        tenants = {other.tenant for other in self.waiting.values()}
        is_its_first = not any(
            other.tenant == tenant for other in self.waiting.values() if other is not one
        )
        self.line.join(one)
        if is_its_first:
            place = [other.number for other in self.line.in_order()].index(one.number) + 1
            assert place <= len(tenants), "one place for each tenant at most"
        self.follow(may_rise=True)

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        if self.waiting:
            number = data.draw(st.sampled_from(sorted(self.waiting)))
            one = self.waiting.pop(number)
            self.line.leave(one)
            self.line.leave(one)  # is no fault
            self.passed.pop(number, None)
            self.follow(may_rise=False)

    @rule()
    def serve(self) -> None:
        if not self.waiting:
            return
        firsts = self.firsts()
        expected = next(iter(self.line.in_order()))
        one = self.line.take_first()
        assert one == expected, "who is told to be first is first"
        assert one.number in firsts, "nobody passes another of his tenant"
        del self.waiting[one.number]
        self.passed.pop(one.number, None)
        for number in firsts:
            if number != one.number:
                self.passed[number] = self.passed.get(number, 0) + 1
                assert self.passed[number] < 4, "nobody starves: each tenant passes him once"
        self.follow(may_rise=False)

    @invariant()
    def nobody_is_lost_or_doubled(self) -> None:
        order = [one.number for one in self.line.in_order()]
        assert sorted(order) == sorted(self.waiting)
        assert len(self.line) == len(order)


TestFairLine = FairLine.TestCase


def member(
    workspace: str,
    idle_since_s: float | None,
    *,
    frozen: bool = False,
    unsaved: bool = False,
) -> Member:
    return Member(f"c-{workspace}", workspace, 0.0, idle_since_s, frozen, unsaved)


def test_frozen_ones_go_first_then_the_longest_idle_and_never_one_in_use_or_unsaved() -> None:
    members = [
        member("busy", None),
        member("new", 9.0),
        member("old", 1.0),
        member("frozen", 5.0, frozen=True),
        member("only copy", 0.0, unsaved=True),
    ]
    assert idle_first(members) == ["frozen", "old", "new"]


def places(  # one place is taken by a busy container, where nothing else is said
    *,
    slots: int = 4,
    taken: int = 4,
    waiting: int = 1,
    spare: int = 0,
    members: Sequence[Member] = (),
    warm_going: int = 0,
    going: Sequence[str] = (),
    is_held: bool = False,
) -> Places:
    return Places(slots, taken, waiting, spare, members, warm_going, going, is_held)


IDLE = (member("i1", 1.0), member("i2", 2.0), member("i3", 3.0))


@pytest.mark.parametrize(
    ("given", "decision"),
    [
        (places(waiting=0, taken=0), Decision()),
        (places(taken=1, waiting=2), Decision(grants=2)),
        (places(taken=3, waiting=2), Decision(grants=1)),
        (places(waiting=2, spare=1, members=IDLE), Decision(warm=1, idle=("i1",))),
        (places(waiting=1, spare=3, members=IDLE), Decision(warm=1)),
        (places(waiting=2, members=IDLE, going=["i1"]), Decision(idle=("i2",))),
        (places(waiting=1, spare=2, warm_going=1), Decision()),
        (places(slots=2, taken=4, waiting=1, members=IDLE), Decision(idle=("i1", "i2", "i3"))),
        (places(taken=0, waiting=3, is_held=True, members=IDLE), Decision(idle=("i1",))),
        (places(taken=0, waiting=3, is_held=True, members=IDLE, going=["i1"]), Decision()),
    ],
)
def test_what_is_free_is_given_then_warm_ones_go_then_idle_ones(
    given: Places, decision: Decision
) -> None:
    assert decide(given) == decision


MEMBERS = st.lists(
    st.builds(
        Member,
        container_id=st.just("c"),
        workspace_id=st.uuids().map(str),
        started_at_s=st.just(0.0),
        idle_since_s=st.none() | st.floats(0, 100),
        is_frozen=st.booleans(),
        is_unsaved=st.booleans(),
    ),
    max_size=8,
)


@given(
    slots=st.integers(0, 12),
    promised=st.integers(0, 4),
    waiting=st.integers(0, 12),
    spare=st.integers(0, 4),
    warm_going=st.integers(0, 4),
    members=MEMBERS,
    is_held=st.booleans(),
    data=st.data(),
)
def test_no_more_is_given_than_there_is_and_no_more_goes_than_is_needed(
    *,
    slots: int,
    promised: int,
    waiting: int,
    spare: int,
    warm_going: int,
    members: list[Member],
    is_held: bool,
    data: st.DataObject,
) -> None:
    going = data.draw(st.sets(st.sampled_from(idle_first(members)))) if idle_first(members) else ()
    taken = len(members) + spare + promised
    warm_going = min(warm_going, spare)
    given_now = Places(slots, taken, waiting, spare, members, warm_going, going, is_held)
    decision = decide(given_now)
    assert decision.grants <= waiting
    if decision.grants:
        assert taken + decision.grants <= slots
        assert not is_held
    going_now = len(going) + warm_going + decision.warm + len(decision.idle)
    if decision.warm or decision.idle:
        assert going_now <= waiting - decision.grants + max(0, taken - slots)
    assert decision.warm + warm_going <= spare
    assert not set(decision.idle) & set(going)
    kept = {one.workspace_id for one in members if one.idle_since_s is None or one.is_unsaved}
    assert not set(decision.idle) & kept
    if decision.idle and not is_held:
        assert decision.warm + warm_going == spare, "warm ones go before anybody's own"


@pytest.mark.parametrize(
    ("given", "can"),
    [
        (places(taken=3, waiting=0), True),
        (places(taken=4, waiting=0), False),
        (places(taken=3, waiting=1), False),
        (places(waiting=0, spare=1), True),
        (places(waiting=1, spare=1), False),
        (places(waiting=0, members=IDLE), True),
        (places(waiting=2, members=IDLE, going=["i1"]), True),
        (places(waiting=3, members=IDLE, going=["i1"]), False),
        (places(taken=0, waiting=0, is_held=True), False),
    ],
)
def test_whether_one_more_would_be_served_without_any_turn_ending(
    given: Places, *, can: bool
) -> None:
    assert given.can_serve_one_more is can


def test_when_to_come_again_follows_the_pace_of_places() -> None:
    pace = Pace()
    assert pace.retry_after_s(waiting=5, unknown_s=60) == 60
    for now_s in (0.0, 4.0, 8.0):
        pace = pace.after_place(now_s=now_s, others_wait=True)
    assert pace.retry_after_s(waiting=2, unknown_s=60) == 12
    assert pace.retry_after_s(waiting=10_000, unknown_s=60) == RETRY_MAX_S
    idle = pace.after_place(now_s=8.0, others_wait=False).after_place(
        now_s=10_000.0, others_wait=True
    )
    assert idle.interval_s is not None
    assert idle.interval_s < 5, "a time in which nobody waited is no pace"


@given(st.lists(st.floats(0, 1e9), max_size=10).map(sorted), st.integers(0, 10_000))
def test_it_is_always_a_whole_number_of_seconds_within_bounds(
    times: list[float], waiting: int
) -> None:
    pace = Pace()
    for now_s in times:
        pace = pace.after_place(now_s=now_s, others_wait=True)
    told = pace.retry_after_s(waiting=waiting, unknown_s=60)
    assert isinstance(told, int)
    assert 1 <= told <= RETRY_MAX_S
