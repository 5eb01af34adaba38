import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.host.containers.fleet import LIMITS

from hakoiri.host.containers.warm_pool import (
    FIRST_PAUSE_S,
    JITTER,
    LOOK_EVERY_S,
    NEVER_FAILED,
    QUIET_S,
    ROTATION_BEGINS,
    SLOW_RETRY_S,
    TRIES,
    URGENT_QUIET_S,
    Look,
    Member,
    MemberState,
    Plan,
    Pool,
    Refill,
    Retire,
    Shape,
    Start,
    Wanted,
    after_failure,
    choose,
    decide,
    first_to_give_way,
)
from hakoiri.wire.pool import PoolSize

RUNC = Shape("sha256:a", "runc", LIMITS)
RUNSC = Shape("sha256:a", "runsc", LIMITS)
LARGER = Shape("sha256:a", "runc", replace(LIMITS, memory_mib=LIMITS.memory_mib + 1))
OTHER_IMAGE = Shape("sha256:b", "runc", LIMITS)
MAX_AGE_S = 100.0


def wanted(
    low: int, target: int, high: int, *, at_once: int = 10, connects: bool = False
) -> Wanted:
    sizes = {RUNC: PoolSize(min=low, target=target, max=high)}
    return Wanted(sizes, max_age_s=MAX_AGE_S, refills_at_once=at_once, connects=connects)


def ready(name: str, at_s: float = 0.0, *, shape: Shape = RUNC, connects: bool = False) -> Member:
    return Member(name, shape, MemberState.READY, connects, at_s, at_s)


def starting(name: str) -> Member:
    return Member(name, RUNC, MemberState.STARTING)


def plan_of(
    *members: Member, of: Wanted, now_s: float = 0.0, room: int = 100, cold_starts: int = 0
) -> Plan:
    return decide(Pool(members, room, cold_starts), of, now_s=now_s)


def test_an_empty_pool_is_filled_up_to_its_target_and_no_further() -> None:
    assert len(plan_of(of=wanted(1, 3, 5)).starts) == 3
    assert len(plan_of(starting("a"), ready("b"), of=wanted(1, 3, 5)).starts) == 1
    assert plan_of(*map(ready, "abc"), of=wanted(1, 3, 5)).starts == ()


def test_few_are_started_at_once() -> None:
    assert len(plan_of(of=wanted(0, 5, 5, at_once=2)).starts) == 2
    assert plan_of(starting("a"), starting("b"), of=wanted(0, 5, 5, at_once=2)).starts == ()


def test_the_servers_own_limit_leaves_only_so_much_room() -> None:
    assert len(plan_of(of=wanted(3, 3, 3), room=1).starts) == 1
    assert plan_of(of=wanted(3, 3, 3), room=0).starts == ()


def test_while_memory_is_short_none_is_started_and_none_waits() -> None:
    """Not even below the minimum; what is starting is seen to its end and goes then."""
    pool = Pool([ready("a"), ready("b"), starting("c")], room=9, is_short=True)
    plan = decide(pool, wanted(2, 5, 5), now_s=0.0)
    assert (plan.starts, plan.looks) == ((), ())
    assert [one.container_id for one in plan.retirements] == ["a", "b"]
    assert decide(Pool([], room=9, is_short=True), wanted(2, 5, 5), now_s=0.0).starts == ()


def test_a_user_who_waits_for_a_cold_start_comes_first() -> None:
    """Above the minimum nothing is started beside it, below it only beside a single one."""
    assert plan_of(ready("a"), of=wanted(1, 3, 3), cold_starts=1).starts == ()
    assert len(plan_of(of=wanted(1, 3, 3), cold_starts=1).starts) == 1
    assert plan_of(of=wanted(1, 3, 3), cold_starts=2).starts == ()


def test_right_after_a_claim_its_turn_has_the_processors() -> None:
    pool = Pool([ready("a")], room=9, claimed_at_s=10.0)
    early = decide(pool, wanted(1, 2, 2), now_s=10.0 + QUIET_S / 2)
    assert (early.starts, early.wake_at_s) == ((), 10.0 + QUIET_S)
    assert len(decide(pool, wanted(1, 2, 2), now_s=10.0 + QUIET_S).starts) == 1


@pytest.mark.parametrize("cold_starts", [0, 1])
def test_below_the_minimum_it_has_them_for_its_first_request_alone(cold_starts: int) -> None:
    pool = Pool([ready("a")], room=9, claimed_at_s=10.0, cold_starts=cold_starts)
    early = decide(pool, wanted(2, 2, 2), now_s=10.0 + URGENT_QUIET_S / 2)
    assert (early.starts, early.wake_at_s) == ((), 10.0 + URGENT_QUIET_S)
    assert len(decide(pool, wanted(2, 2, 2), now_s=10.0 + URGENT_QUIET_S).starts) == 1


def test_what_is_below_its_minimum_is_filled_first() -> None:
    of = replace(
        wanted(0, 2, 2, at_once=1),
        sizes={
            RUNC: PoolSize(min=0, target=2, max=2),
            RUNSC: PoolSize(min=1, target=1, max=1),
        },
    )
    assert plan_of(of=of).starts == (Start(RUNSC),)


def test_after_a_failure_nothing_is_started_before_its_time() -> None:
    of = wanted(1, 1, 1)
    pool = Pool([], room=1, refills={RUNC: Refill(1, 50.0)})
    early, later = decide(pool, of, now_s=49.9), decide(pool, of, now_s=50.0)
    assert (early.starts, early.wake_at_s) == ((), 50.0)
    assert later.starts == (Start(RUNC),)


def test_a_successor_is_started_before_an_old_one_goes() -> None:
    of = wanted(1, 1, 2)
    old = ready("old", 0.0)
    now_s = MAX_AGE_S * ROTATION_BEGINS
    assert plan_of(old, of=of, now_s=now_s - 1).starts == ()
    begun = plan_of(old, of=of, now_s=now_s)
    assert (begun.starts, begun.retirements) == ((Start(RUNC),), ())
    waiting = plan_of(old, starting("new"), of=of, now_s=now_s)
    assert (waiting.starts, waiting.retirements) == ((), ())
    done = plan_of(old, ready("new", now_s), of=of, now_s=now_s)
    assert done.retirements == (Retire("old", "its successor is ready"),)


def test_where_there_is_no_room_for_a_successor_one_goes_first() -> None:
    of = wanted(0, 2, 2)
    plan = plan_of(ready("a", 0.0), ready("b", 1.0), of=of, now_s=MAX_AGE_S * 0.95)
    assert plan.retirements == (Retire("a", "its successor needs the place"),)
    going = replace(ready("a"), state=MemberState.RETIRING)
    plan = plan_of(going, ready("b", 1.0), of=of, now_s=MAX_AGE_S * 0.95)
    assert (plan.starts, plan.retirements) == ((), ())


def test_while_starting_fails_an_ageing_one_stays_to_its_last_day() -> None:
    of = wanted(0, 1, 1)
    pool = Pool([ready("a", 0.0)], room=9, refills={RUNC: Refill(2, 10_000.0)})
    assert decide(pool, of, now_s=MAX_AGE_S * 0.95).retirements == ()
    assert decide(pool, of, now_s=MAX_AGE_S).retirements == (Retire("a", "too old"),)


def test_a_changed_setting_of_the_agents_process_rotates_the_pool() -> None:
    plan = plan_of(ready("a"), of=wanted(0, 1, 2, connects=True))
    assert (len(plan.starts), plan.retirements) == (1, ())
    plan = plan_of(ready("a"), ready("b", connects=True), of=wanted(0, 1, 2, connects=True))
    assert plan.retirements == (Retire("a", "its successor is ready"),)


def test_a_pool_made_smaller_lets_the_oldest_go() -> None:
    plan = plan_of(ready("b", 2.0), ready("a", 1.0), ready("c", 3.0), of=wanted(0, 1, 1), now_s=4.0)
    assert {retire.container_id for retire in plan.retirements} == {"a", "b"}


def test_a_shape_that_nobody_wants_any_more_goes() -> None:
    plan = plan_of(ready("a", shape=OTHER_IMAGE), of=wanted(0, 0, 0))
    assert plan.retirements == (Retire("a", "no longer wanted"),)


def test_waiting_ones_are_looked_at_now_and_then() -> None:
    of = wanted(0, 1, 1)
    assert plan_of(ready("a"), of=of, now_s=LOOK_EVERY_S - 1).looks == ()
    assert plan_of(ready("a"), of=of, now_s=LOOK_EVERY_S).looks == (Look("a"),)
    assert plan_of(ready("a"), of=of, now_s=1).wake_at_s == LOOK_EVERY_S
    assert plan_of(of=wanted(0, 0, 0)).wake_at_s == math.inf


@pytest.mark.parametrize("other", [RUNSC, LARGER, OTHER_IMAGE])
def test_nobody_gets_another_runtime_size_or_image(other: Shape) -> None:
    member = ready("a", shape=other)
    assert choose([member], RUNC, max_age_s=MAX_AGE_S, connected=False, now_s=0) is None
    assert choose([member], other, max_age_s=MAX_AGE_S, connected=False, now_s=0) == member


@pytest.mark.parametrize("state", [one for one in MemberState if one != MemberState.READY])
def test_only_what_is_ready_is_handed_out(state: MemberState) -> None:
    member = replace(ready("a"), state=state)
    assert choose([member], RUNC, max_age_s=MAX_AGE_S, connected=False, now_s=0) is None


def test_nobody_gets_one_that_is_too_old() -> None:
    member = ready("a", 0.0)
    assert choose([member], RUNC, max_age_s=10, connected=False, now_s=9.9) == member
    assert choose([member], RUNC, max_age_s=10, connected=False, now_s=10) is None


def test_the_kind_that_is_of_use_comes_first_then_the_oldest() -> None:
    members = [ready("new", 5.0), ready("old", 1.0), ready("wired", 3.0, connects=True)]
    for connected, expected in ((False, "old"), (True, "wired")):
        chosen = choose(members, RUNC, max_age_s=MAX_AGE_S, connected=connected, now_s=6)
        assert chosen is not None
        assert chosen.container_id == expected


def test_what_gives_way_is_what_costs_least() -> None:
    leaving = replace(ready("l"), state=MemberState.LEAVING)
    going = replace(ready("g"), state=MemberState.RETIRING)
    assert first_to_give_way([leaving]) is None
    assert first_to_give_way([starting("s"), leaving, ready("r")]) == ready("r")
    assert first_to_give_way([starting("s"), ready("r"), going]) == going


@given(st.integers(0, 50), st.floats(0, 1, exclude_max=True), st.floats(0, 1e9))
def test_pauses_grow_then_stay_and_are_never_too_short(
    failures: int, jitter: float, now_s: float
) -> None:
    after = after_failure(Refill(failures), now_s=now_s, jitter=jitter)
    full_s = FIRST_PAUSE_S * 2**failures if failures + 1 < TRIES else SLOW_RETRY_S
    assert after.failures == failures + 1
    assert after.is_alarming == (failures + 1 >= TRIES)
    pause_s = after.not_before_s - now_s
    assert full_s * (1 - JITTER) - 1e-6 <= pause_s <= full_s + 1e-6


class LivingPool(RuleBasedStateMachine):
    """A pool that is decided for, claimed from, set anew, and whose starts succeed or fail."""

    @initialize()
    def begin(self) -> None:
        self.members: dict[str, Member] = {}
        self.refills: dict[Shape, Refill] = {}
        self.claimed: list[str] = []
        self.count = 0
        self.now_s = 0.0
        self.live = 0
        self.claimed_at_s = -math.inf
        self.limit = 8
        self.wanted = wanted(1, 2, 3, at_once=2)

    def _change(self, name: str, state: MemberState) -> None:
        self.members[name] = replace(self.members[name], state=state)

    def _in(self, state: MemberState) -> list[str]:
        return [name for name, member in self.members.items() if member.state is state]

    @rule(
        low=st.integers(0, 3), more=st.integers(0, 2), most=st.integers(0, 2), wires=st.booleans()
    )
    def set_anew(self, *, low: int, more: int, most: int, wires: bool) -> None:
        self.wanted = wanted(low, low + more, low + more + most, at_once=2, connects=wires)

    @rule(seconds=st.floats(0, 60))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(cold_starts=st.integers(0, 2))
    def act(self, cold_starts: int) -> None:
        room = self.limit - self.live - len(self.members)
        before = self._occupied()
        pool = Pool(list(self.members.values()), room, cold_starts, self.claimed_at_s, self.refills)
        plan = decide(pool, self.wanted, now_s=self.now_s)
        for retire in plan.retirements:
            assert self.members[retire.container_id].state is MemberState.READY
            self._change(retire.container_id, MemberState.RETIRING)
        for start in plan.starts:
            assert self.now_s >= self.refills.get(start.shape, NEVER_FAILED).not_before_s
            self.count += 1
            name = f"k{self.count}"
            self.members[name] = Member(
                name, start.shape, MemberState.STARTING, self.wanted.connects
            )
        if plan.starts:
            assert cold_starts < 2
            assert self._occupied() <= max(self.wanted.sizes[RUNC].max, before)
            assert len(self._in(MemberState.STARTING)) <= self.wanted.refills_at_once
        assert plan.wake_at_s > self.now_s

    def _occupied(self) -> int:
        return sum(one.state is not MemberState.LEAVING for one in self.members.values())

    @precondition(lambda self: self._in(MemberState.STARTING))
    @rule(fails=st.booleans(), jitter=st.floats(0, 1, exclude_max=True))
    def end_a_start(self, *, fails: bool, jitter: float) -> None:
        name = self._in(MemberState.STARTING)[0]
        if fails:
            shape = self.members.pop(name).shape
            former = self.refills.get(shape, NEVER_FAILED)
            self.refills[shape] = after_failure(former, now_s=self.now_s, jitter=jitter)
            return
        self.refills.pop(self.members[name].shape, None)
        self.members[name] = replace(
            self.members[name],
            state=MemberState.READY,
            ready_at_s=self.now_s,
            looked_at_s=self.now_s,
        )

    @precondition(lambda self: self._in(MemberState.RETIRING))
    @rule()
    def end_a_removal(self) -> None:
        del self.members[self._in(MemberState.RETIRING)[0]]

    @rule(connected=st.booleans())
    def claim(self, *, connected: bool) -> None:
        chosen = choose(
            self.members.values(),
            RUNC,
            max_age_s=self.wanted.max_age_s,
            connected=connected,
            now_s=self.now_s,
        )
        if chosen is None:
            return
        assert chosen.container_id not in self.claimed
        assert chosen.state is MemberState.READY
        assert self.now_s - chosen.ready_at_s < self.wanted.max_age_s
        self.claimed.append(chosen.container_id)
        self.claimed_at_s = self.now_s
        self._change(chosen.container_id, MemberState.LEAVING)

    @precondition(lambda self: self._in(MemberState.LEAVING))
    @rule()
    def settle(self) -> None:
        del self.members[self._in(MemberState.LEAVING)[0]]
        self.live += 1

    @precondition(lambda self: self.live)
    @rule()
    def end_a_workspaces_container(self) -> None:
        self.live -= 1

    @invariant()
    def the_servers_limit_holds(self) -> None:
        assert self.live + len(self.members) <= self.limit

    @rule()
    def comes_to_rest(self) -> None:
        """Left alone, with starts that succeed, it reaches its target and does nothing more."""
        members = {
            name: member
            if member.state is MemberState.READY
            else replace(member, state=MemberState.READY, ready_at_s=self.now_s)
            for name, member in self.members.items()
            if member.state in (MemberState.READY, MemberState.STARTING)
        }
        for step in range(40):
            plan = decide(Pool(list(members.values()), room=100), self.wanted, now_s=self.now_s)
            if not (plan.starts or plan.retirements):
                break
            for retire in plan.retirements:
                del members[retire.container_id]
            for number, start in enumerate(plan.starts):
                name = f"rest{step}-{number}"
                members[name] = Member(
                    name,
                    start.shape,
                    MemberState.READY,
                    self.wanted.connects,
                    ready_at_s=self.now_s,
                    looked_at_s=self.now_s,
                )
        else:
            raise AssertionError("it never comes to rest")
        assert len(members) == self.wanted.sizes[RUNC].target


TestLivingPool = LivingPool.TestCase
