"""Places are given in the line's order, at once where they can be; waits end in time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from hakoiri.host.containers.admission import LinePlace
from hakoiri.host.containers.admission_gate import AdmissionGate, AdmissionLimits, Asked
from hakoiri.host.containers.capacity import Level
from hakoiri.host.containers.gc import Member
from hakoiri.host.containers.ports import (
    CapacityError,
    ContainersError,
    StoppingError,
    WorkspaceGoneError,
)
from hakoiri.host.telemetry.admission_metrics import AdmissionMetrics


@dataclass
class Town:
    """Containers by name: busy, idle or warm. A removal waits for `may_go`."""

    slots: int = 2
    queue: int = 100
    tenant_queue: int = 100
    now_s: float = 0.0
    busy: set[str] = field(default_factory=set)
    idle: dict[str, float] = field(default_factory=dict)
    warm: int = 0
    removals: list[str | None] = field(default_factory=list)
    may_go: anyio.Event = field(default_factory=anyio.Event)
    failure: Exception | None = None
    all_stay: bool = False
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.may_go.set()
        self.registry = CollectorRegistry()
        self.gate = AdmissionGate(
            limits=AdmissionLimits(self.slots, self.queue, self.tenant_queue, wait_s=60),
            occupancy=self,
            metrics=AdmissionMetrics(self.registry),
            clock=lambda: self.now_s,
        )

    def occupied(self) -> int:
        return len(self.busy) + len(self.idle) + self.warm

    def spare(self) -> int:
        return self.warm

    def members(self) -> Sequence[Member]:
        busy = [Member(f"c-{name}", name, 0.0, None) for name in sorted(self.busy)]
        return busy + [Member(f"c-{name}", name, 0.0, since) for name, since in self.idle.items()]

    async def give_way(self, workspace_id: str | None) -> bool:
        self.removals.append(workspace_id)
        await self.may_go.wait()
        if self.failure is not None:
            raise self.failure
        if self.all_stay:
            return False
        if workspace_id is None:
            self.warm -= 1
        else:
            self.idle.pop(workspace_id, None)
        return True

    async def come(self, name: str, tenant: str = "a", **asked: bool) -> None:
        """Claim a place and be busy in it."""
        if not self.gate.take(name) and not await self.gate.wait(
            Asked(tenant, name, self.hear(name), **asked)
        ):
            self.log.append(f"{name} is live")
            return
        self.log.append(name)
        self.busy.add(name)
        self.gate.give_back()

    def hear(self, name: str) -> "Hearing":
        return Hearing(self, name)

    def go(self, name: str) -> None:
        self.busy.discard(name)
        self.gate.changed()

    @asynccontextmanager
    async def coming(self, *names: str) -> AsyncIterator[anyio.abc.TaskGroup]:
        """Let claims come one after the other; a name's first letter is its tenant."""
        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(self.come, name, name[0])
                await settled()
            yield group
            group.cancel_scope.cancel()

    def figure(self, line: str) -> bool:
        return line in generate_latest(self.registry).decode().splitlines()


@dataclass
class Hearing:
    town: Town
    name: str
    places: list[LinePlace] = field(default_factory=list)

    def __call__(self, place: LinePlace) -> None:
        self.places.append(place)
        self.town.log.append(f"{self.name} at {place.position} of {place.waiting}")


async def settled() -> None:
    for _ in range(8):
        await checkpoint()


async def refused(gate: AdmissionGate, asked: Asked) -> Exception:
    with pytest.raises(ContainersError) as error:
        await gate.wait(asked)
    return error.value


@pytest.mark.anyio
async def test_free_places_are_taken_at_once_and_no_more_than_there_are() -> None:
    town = Town(slots=2)
    assert [town.gate.take("w") for _ in range(3)] == [True, True, False]
    assert town.gate.taken() == 2
    town.gate.give_back()
    assert town.gate.take("w")


@pytest.mark.anyio
async def test_a_place_that_becomes_free_wakes_exactly_the_next() -> None:
    town = Town(slots=1, busy={"x"})
    async with town.coming("a1", "a2", "b1"):
        town.log.clear()
        town.go("x")
        await settled()
        assert [line for line in town.log if " at " not in line] == ["a1"]
        town.go("a1")
        await settled()
        town.go("b1")
        await settled()
        assert [line for line in town.log if " at " not in line] == ["a1", "b1", "a2"]


@pytest.mark.anyio
async def test_nobody_passes_those_who_wait() -> None:
    town = Town(slots=1, busy={"x"})
    async with town.coming("a1"):
        town.busy.clear()  # a place is free, and the gate has not seen it yet
        assert not town.gate.take("w")
        assert town.gate.room() == 0
        town.gate.changed()
        await settled()
        assert town.log[-1] == "a1"


@pytest.mark.anyio
async def test_who_waits_is_told_where_it_stands_as_that_changes() -> None:
    town = Town(slots=1, busy={"x"})
    async with town.coming("a1", "a2", "b1"):
        assert town.log == ["a1 at 1 of 1", "a2 at 2 of 2", "b1 at 2 of 3", "a2 at 3 of 3"]
        town.log.clear()
        town.go("x")
        await settled()
        assert town.log == ["b1 at 1 of 2", "a2 at 2 of 2", "a1"]


@pytest.mark.anyio
async def test_who_is_cancelled_leaves_no_hole() -> None:
    town = Town(slots=1, busy={"x"})
    async with anyio.create_task_group() as group:
        scopes = {}

        async def come(name: str) -> None:
            with anyio.CancelScope() as scopes[name]:
                await town.come(name)

        for name in ("a1", "a2", "a3"):
            group.start_soon(come, name)
            await settled()
        scopes["a1"].cancel()
        await settled()
        assert town.log[-2:] == ["a2 at 1 of 2", "a3 at 2 of 2"]
        town.go("x")
        await settled()
        assert town.busy == {"a2"}
        group.cancel_scope.cancel()
    assert town.gate.taken() == 1


@pytest.mark.anyio
async def test_a_place_given_to_who_is_cancelled_at_that_moment_goes_to_the_next() -> None:
    town = Town(slots=1, busy={"x"})
    async with asyncio.TaskGroup() as group:
        first = group.create_task(town.come("a1"))
        await settled()
        second = group.create_task(town.come("a2"))
        await settled()
        town.busy.clear()
        town.gate.changed()
        first.cancel()
        await second
    assert town.busy == {"a2"}
    assert town.gate.promised == 0


@pytest.mark.anyio
async def test_a_wait_that_is_over_is_refused_with_the_time_to_come_again() -> None:
    town = Town(slots=1, busy={"x"})
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(refused(town.gate, Asked("a", "w")))
        await settled()
        town.now_s = 59.9
        town.gate.look()
        await settled()
        assert not waiting.done()
        town.now_s = 60.0
        town.gate.look()
        error = await waiting
    assert isinstance(error, CapacityError)
    assert error.retry_after_s == 60
    assert "HAKOIRI_ADMISSION__WAIT_S" in str(error)
    assert town.figure('hakoiri_claims_refused_total{reason="waited-too-long"} 1.0')
    assert town.figure('hakoiri_queue_wait_seconds_bucket{le="60.0"} 1.0')
    assert town.figure("hakoiri_queue_length 0.0")


@pytest.mark.anyio
async def test_a_full_line_refuses_at_once_whoever_asks_first_or_not() -> None:
    town = Town(slots=1, busy={"x"}, queue=2, tenant_queue=1)
    async with town.coming("a1"):
        with pytest.raises(CapacityError, match="HAKOIRI_ADMISSION__TENANT_LIMIT"):
            town.gate.check("a")
        town.gate.check("b")
        async with town.coming("b1"):
            with pytest.raises(CapacityError, match="HAKOIRI_ADMISSION__QUEUE_LIMIT"):
                town.gate.check("c")
            assert isinstance(await refused(town.gate, Asked("c", "w")), CapacityError)
            assert town.figure("hakoiri_queue_length 2.0")
    assert town.figure('hakoiri_claims_refused_total{reason="line-full"} 2.0')
    town.gate.check("a")


@pytest.mark.anyio
async def test_a_turn_that_had_a_container_waits_even_if_the_line_is_full() -> None:
    town = Town(slots=1, busy={"x"}, queue=1)
    async with town.coming("a1") as group:
        group.start_soon(lambda: town.come("b1", "b", resumes=True))
        await settled()
        town.go("x")
        await settled()
        assert town.busy == {"b1"}


@pytest.mark.anyio
async def test_idle_and_warm_containers_give_way_and_nobody_is_told_to_wait() -> None:
    town = Town(slots=3, busy={"x"}, idle={"old": 1.0}, warm=1, queue=0)
    async with town.coming("a1", "a2"):
        await settled()
        assert town.removals == [None, "old"]
        assert town.busy == {"x", "a1", "a2"}
        assert town.log == ["a1", "a2"]
        assert isinstance(await refused(town.gate, Asked("a", "w")), CapacityError)


@pytest.mark.anyio
async def test_no_more_goes_than_is_needed_while_it_goes() -> None:
    town = Town(slots=3, idle={"i1": 1.0, "i2": 2.0, "i3": 3.0})
    town.may_go = anyio.Event()
    async with town.coming("a1"):
        for _ in range(3):
            town.gate.changed()
            await settled()
        assert town.removals == ["i1"]
        town.may_go.set()
        await settled()
        assert town.busy == {"a1"}


@pytest.mark.anyio
async def test_a_container_that_goes_goes_although_who_it_went_for_has_left() -> None:
    town = Town(slots=1, idle={"i1": 1.0})
    town.may_go = anyio.Event()
    async with town.coming("a1"):
        assert town.removals == ["i1"]
    assert town.gate.taken() == 1
    async with anyio.create_task_group() as group:
        group.start_soon(town.gate.settle_removals)
        await settled()
        town.may_go.set()
    assert town.gate.taken() == 0


@pytest.mark.anyio
async def test_a_removal_that_fails_ends_nobody_elses_wait() -> None:
    town = Town(slots=1, idle={"i1": 1.0}, failure=ZeroDivisionError("a fault"))
    town.may_go = anyio.Event()
    async with town.coming("a1"):
        town.idle.clear()
        town.busy.add("i1")  # it was taken into use meanwhile
        town.may_go.set()
        await settled()
        assert town.log == ["a1 at 1 of 1"]
        town.go("i1")
        await settled()
        assert town.busy == {"a1"}


@pytest.mark.anyio
async def test_what_will_not_go_is_asked_once_before_the_next_look() -> None:
    town = Town(slots=3, idle={"i1": 1.0, "i2": 2.0}, warm=1, all_stay=True)
    async with town.coming("a1"):
        for _ in range(3):
            town.gate.changed()
            await settled()
        assert town.removals == [None, "i1", "i2"]
        town.gate.look()
        await settled()
        assert town.removals == [None, "i1", "i2"] * 2
        town.all_stay = False
        town.gate.look()
        await settled()
        assert town.busy == {"a1"}


@pytest.mark.anyio
async def test_while_memory_is_short_claims_wait_and_one_idle_container_goes_at_a_time() -> None:
    town = Town(slots=9, idle={"i1": 1.0, "i2": 2.0})
    town.may_go = anyio.Event()
    town.gate.set_host(slots=9, level=Level.WAIT)
    assert not town.gate.take("w")
    async with town.coming("a1"):
        assert town.removals == ["i1"]
        assert town.log == ["a1 at 1 of 1"]
        town.gate.set_host(slots=9, level=Level.DRAIN)
        town.gate.look()
        await settled()
        assert town.busy == {"a1"}
    town.may_go.set()
    await town.gate.settle_removals()


@pytest.mark.anyio
async def test_a_shortage_is_the_reason_that_is_told() -> None:
    town = Town(slots=9, queue=1)
    town.gate.set_host(slots=9, level=Level.WAIT)
    heard = town.hear("a1")
    async with anyio.create_task_group() as group:
        group.start_soon(town.gate.wait, Asked("a", "a1", heard))
        await settled()
        with pytest.raises(CapacityError, match="short of memory"):
            town.gate.check("b")
        group.cancel_scope.cancel()
    assert [place.reason for place in heard.places] == ["memory"]


@pytest.mark.parametrize(
    ("level", "room"), [(Level.CALM, 2), (Level.HOLD, 0), (Level.DRAIN, 0), (Level.WAIT, 0)]
)
@pytest.mark.anyio
async def test_a_shortage_stops_warm_containers_first(level: Level, room: int) -> None:
    town = Town(slots=3, busy={"x"})
    town.gate.set_host(slots=3, level=level)
    assert town.gate.room() == room
    assert town.gate.take("w") is (level < Level.WAIT)


@pytest.mark.anyio
async def test_fewer_slots_than_containers_take_nothing_from_whom_is_busy() -> None:
    town = Town(slots=3, busy={"x", "y"}, idle={"i1": 1.0})
    town.gate.set_host(slots=1, level=Level.CALM)
    assert (town.gate.free(), town.gate.room()) == (0, -2)
    async with town.coming("a1"):
        await settled()
        assert (town.removals, town.busy) == (["i1"], {"x", "y"})
        town.go("x")
        town.go("y")
        await settled()
        assert town.busy == {"a1"}


@pytest.mark.anyio
async def test_a_workspace_that_comes_to_life_needs_no_place_any_more() -> None:
    town = Town(slots=1, busy={"x"})
    async with town.coming("a1", "a2"):
        town.gate.is_live("a1")
        await settled()
        assert town.log[-1] == "a1 is live"
        town.go("x")
        await settled()
        assert town.busy == {"a2"}


@pytest.mark.anyio
async def test_waits_for_a_workspace_that_is_killed_end() -> None:
    town = Town(slots=1, busy={"x"})
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(refused(town.gate, Asked("a", "w")))
        await settled()
        town.gate.dismiss("w")
        assert isinstance(await waiting, WorkspaceGoneError)
    assert town.figure("hakoiri_queue_length 0.0")


@pytest.mark.anyio
async def test_a_server_that_stops_ends_all_waits_at_once_but_those_of_turns() -> None:
    town = Town(slots=1, busy={"x"})
    async with asyncio.TaskGroup() as group:
        commands = [
            group.create_task(refused(town.gate, Asked("c", f"w{number}"))) for number in range(3)
        ]
        turn = group.create_task(town.gate.wait(Asked("t", "t1", outlives=True)))
        await settled()
        town.gate.close()
        assert [type(await one) for one in commands] == [StoppingError] * 3
        await settled()
        assert not turn.done(), "its owner ends it, or leaves it to the next server"
        turn.cancel()
    assert isinstance(await refused(town.gate, Asked("a", "late")), StoppingError)
    assert town.figure('hakoiri_claims_refused_total{reason="stopping"} 4.0')


@pytest.mark.anyio
async def test_a_turn_that_waits_when_the_server_stops_is_given_nothing_more() -> None:
    town = Town(slots=1, busy={"x"})
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: town.come("t1", "t", outlives=True))
        await settled()
        town.gate.close()
        town.go("x")
        await settled()
        assert town.busy == set()
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_the_place_of_a_lost_container_is_kept_for_its_successor_and_not_for_ever() -> None:
    town = Town(slots=1, busy={"x"})
    async with town.coming("a1"):
        town.busy.clear()
        town.gate.keep("x")
        town.gate.changed()
        await settled()
        assert town.busy == set(), "who waits does not get it"
        assert town.gate.take("x")
        assert not town.gate.take("x")
        town.gate.give_back()
        await settled()
        assert town.busy == {"a1"}
    town = Town(slots=1)
    town.gate.keep("x")
    town.gate.let_go("x")
    assert town.gate.free() == 1
    town.gate.keep("x")
    town.now_s = 60.0
    town.gate.look()
    assert town.gate.free() == 1


ACTS = st.lists(
    st.tuples(st.sampled_from(["come", "come", "go", "idle", "cancel"]), st.integers(0, 99)),
    max_size=30,
)


@given(ACTS, st.integers(1, 4))
@settings(deadline=None)
def test_whatever_comes_and_goes_places_are_not_given_twice_and_none_is_lost(
    acts: list[tuple[str, int]], slots: int
) -> None:
    asyncio.run(play(acts, Town(slots=slots)))


async def play(acts: list[tuple[str, int]], town: Town) -> None:
    """Play the acts, then let everybody go: in the end whoever was not cancelled was served."""
    claims: dict[str, asyncio.Task[None]] = {}
    async with asyncio.TaskGroup() as group:
        for number, (act, chosen) in enumerate(acts):
            if act == "come":
                name = f"{'abc'[chosen % 3]}{number}"
                claims[name] = group.create_task(town.come(name, name[0]))
            elif act == "cancel" and claims:
                sorted(claims.items())[chosen % len(claims)][1].cancel()
            elif act == "idle" and town.busy:
                name = sorted(town.busy)[chosen % len(town.busy)]
                town.busy.discard(name)
                town.idle[name] = float(number)
                town.gate.changed()
            elif act == "go" and town.busy:
                town.go(sorted(town.busy)[chosen % len(town.busy)])
            if chosen % 2:
                await settled()
            assert town.gate.taken() <= town.slots
        while any(not claim.done() for claim in claims.values()):
            await settled()
            assert town.gate.taken() <= town.slots
            if town.busy:
                town.go(min(town.busy))
    served = [line for line in town.log if " at " not in line]
    assert len(served) == len(set(served))
    assert set(served) >= {name for name, claim in claims.items() if not claim.cancelled()}
    assert town.gate.promised == 0
    assert town.figure("hakoiri_queue_length 0.0")
