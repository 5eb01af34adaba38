import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.unit.host.containers.fleet import OPTIONS, Fleet, pool_of

from hakoiri.host.containers.pool_keeper import PoolKeeper
from hakoiri.host.containers.scripted_agents import ScriptedAgent
from hakoiri.host.containers.testing import MemoryEngine
from hakoiri.host.containers.warm_pool import (
    FIRST_PAUSE_S,
    LOOK_EVERY_S,
    SLOW_RETRY_S,
    TRIES,
    URGENT_QUIET_S,
)
from hakoiri.wire.agent import AgentHealth

pytestmark = pytest.mark.anyio


@dataclass
class Work:
    """Runs the keeper's tasks when the test says so."""

    keeper: PoolKeeper
    group: asyncio.TaskGroup
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = self.group.create_task(work, name=name)
        self.tasks.append(task)
        return task

    async def step(self, room: int = 100, *, is_short: bool = False) -> float:
        """One step, and the end of all that it began."""
        wake_at_s = self.keeper.step(self.spawn, room=room, is_short=is_short)
        tasks, self.tasks = self.tasks, []
        await asyncio.gather(*tasks, return_exceptions=True)
        return wake_at_s

    async def settle_down(self) -> None:
        for _ in range(5):
            await self.step()


@asynccontextmanager
async def working(keeper: PoolKeeper) -> AsyncIterator[Work]:
    async with asyncio.TaskGroup() as group:
        yield Work(keeper, group)


def counts(keeper: PoolKeeper, runtime: str = "runc") -> dict[str, int]:
    return {state: n for (of, state), n in keeper.sizes().items() if of == runtime and n}


def figures(keeper: PoolKeeper) -> dict[str, float]:
    return {
        sample.name: sample.value
        for family in keeper._metrics._registry.collect()
        for sample in family.samples
        if sample.labels == {"runtime": "runc"}
    }


async def test_the_pool_is_filled_with_healthy_unbound_containers(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", pool=pool_of(1, 2, 3))
    keeper = fleet.keeper()
    async with working(keeper) as work:
        await work.step()
    assert counts(keeper) == {"ready": 2}
    assert set(fleet.proxy.sockets) == keeper.members()
    assert set(fleet.proxy.sockets.values()) == {None}
    assert fleet.claims.by_container == {}


async def test_fifty_claims_at_once_get_fifty_containers(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", pool=pool_of(50, 50, 50, at_once=16))
    keeper = fleet.keeper()
    async with working(keeper) as work:
        await work.settle_down()
        taken = await asyncio.gather(*(keeper.take("runc", connected=False) for _ in range(60)))
    got = [one.container.container_id for one in taken if one is not None]
    assert len(got) == len(set(got)) == 50
    assert counts(keeper) == {"leaving": 50}
    assert figures(keeper)["hakoiri_warm_pool_exhausted_total"] == 10


async def test_a_claim_calls_neither_engine_nor_waits_for_a_refill(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", pool=pool_of(1, 1, 2))
    keeper = fleet.keeper()
    async with working(keeper) as work:
        await work.step()
        fleet.engine.fail = {"create", "start", "stop", "remove", "is_running", "list_ours"}
        assert await keeper.take("runc", connected=False) is not None


async def test_a_dead_member_is_passed_over_and_removed_by_somebody_else(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", pool=pool_of(2, 2, 3))
    keeper = fleet.keeper()
    async with working(keeper) as work:
        await work.step()
        # of the same age, the one with the lowest id comes first
        first = fleet.agents.by_directory[min(fleet.agents.by_directory)]
        first.dead = True
        taken = await keeper.take("runc", connected=False)
        assert taken is not None
        assert taken.container.agent is not first
        assert counts(keeper) == {"leaving": 1, "retiring": 1}
        assert len(fleet.engine.containers) == 2, "its removal is not on the way of the claim"
        await work.settle_down()
        assert counts(keeper) == {"leaving": 1}, "nor is what replaces it"
        fleet.now_s += URGENT_QUIET_S
        await work.settle_down()
    assert counts(keeper) == {"leaving": 1, "ready": 2}


class HangingAgent(ScriptedAgent):
    """Answers while it starts, and never again."""

    async def health(self) -> AgentHealth:
        if self.dead:
            await asyncio.Event().wait()
        return AgentHealth(state="ready", version="0")


async def test_a_member_that_hangs_holds_a_claim_up_for_a_short_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hakoiri.host.containers.pool_work.PROBE_TIMEOUT_S", 0.01)
    fleet = Fleet(tmp_path / "live", pool=pool_of(1, 1, 1))
    fleet.agents.make = HangingAgent
    keeper = fleet.keeper()
    async with working(keeper) as work:
        await work.step()
        for agent in fleet.agents.by_directory.values():
            agent.dead = True
        assert await keeper.take("runc", connected=False) is None
    assert counts(keeper) == {"retiring": 1}


class BusyAgent(ScriptedAgent):
    async def health(self) -> AgentHealth:
        return AgentHealth(state="running", turn_id="t-1", version="0")


async def test_a_member_that_runs_a_turn_of_nobodys_is_not_handed_out(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", pool=pool_of(1, 1, 1))
    fleet.agents.make = BusyAgent
    keeper = fleet.keeper()
    async with working(keeper) as work:
        await work.step()
        assert await keeper.take("runc", connected=False) is None


async def test_a_claim_that_is_given_up_leaves_the_member_to_be_removed(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", pool=pool_of(1, 1, 1))
    fleet.agents.make = HangingAgent
    keeper = fleet.keeper()
    async with working(keeper) as work:
        await work.step()
        for agent in fleet.agents.by_directory.values():
            agent.dead = True
        claim = work.group.create_task(keeper_take(keeper))
        await asyncio.sleep(0)
        claim.cancel()
        await asyncio.wait([claim])
        assert counts(keeper) == {"retiring": 1}


async def keeper_take(keeper: PoolKeeper) -> None:
    await keeper.take("runc", connected=False)


async def test_another_runtime_finds_nothing_here(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", pool=pool_of(1, 1, 1))
    keeper = fleet.keeper()
    async with working(keeper) as work:
        await work.step()
        assert await keeper.take("runsc", connected=False) is None
    assert counts(keeper) == {"ready": 1}


async def test_failing_starts_are_tried_ever_later_then_the_alarm_is_raised(
    tmp_path: Path,
) -> None:
    fleet = Fleet(tmp_path / "live", pool=pool_of(1, 1, 1))
    fleet.engine.fail = {"start"}
    keeper = fleet.keeper()
    pauses = []
    with capture_logs() as lines:
        async with working(keeper) as work:
            for _ in range(TRIES + 1):
                await work.step()
                wake_at_s = await work.step()
                pauses.append(wake_at_s - fleet.now_s)
                fleet.now_s = wake_at_s
    assert pauses == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, SLOW_RETRY_S, SLOW_RETRY_S]
    told = [(line["event"], line["log_level"]) for line in lines if "refill" in line["event"]]
    assert told == [
        ("warm_pool_refill_failed", "warning"),
        ("warm_pool_refill_failed", "warning"),
        ("warm_pool_refill_failing", "error"),
        ("warm_pool_refill_failing", "error"),
    ]
    assert figures(keeper)["hakoiri_warm_pool_refill_failures_total"] == 4
    assert keeper.report()["runc"].state == "failing"
    assert fleet.is_empty()


async def test_a_start_that_succeeds_forgets_the_failures(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", pool=pool_of(1, 1, 1))
    fleet.engine.fail = {"start"}
    keeper = fleet.keeper()
    async with working(keeper) as work:
        await work.step()
        fleet.engine.fail = set()
        fleet.now_s = FIRST_PAUSE_S
        await work.step()
    assert keeper.report()["runc"].state == "full"


async def test_the_agents_process_is_connected_ahead_where_that_is_set(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", pool=pool_of(1, 1, 1, preconnect=True))
    keeper = fleet.keeper()
    async with working(keeper) as work:
        await work.step()
        taken = await keeper.take("runc", connected=True)
    assert taken is not None
    assert taken.is_connected
    (agent,) = fleet.agents.by_directory.values()
    assert agent.connected == [OPTIONS]


class UnconnectableAgent(ScriptedAgent):
    async def health(self) -> AgentHealth:
        self.dead = True
        return AgentHealth(state="ready", version="0")


async def test_an_agent_that_cannot_be_connected_counts_as_a_failed_start(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", pool=pool_of(1, 1, 1, preconnect=True))
    fleet.agents.make = UnconnectableAgent
    keeper = fleet.keeper()
    async with working(keeper) as work:
        await work.step()
    assert keeper.report()["runc"].state == "failing"
    assert fleet.is_empty()


async def test_waiting_members_are_looked_at_and_the_dead_replaced(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", pool=pool_of(1, 1, 1))
    keeper = fleet.keeper()
    async with working(keeper) as work:
        await work.step()
        (first,) = fleet.agents.by_directory.values()
        first.dead = True
        fleet.now_s = LOOK_EVERY_S
        await work.step()
        assert counts(keeper) == {"retiring": 1}
        await work.settle_down()
    assert counts(keeper) == {"ready": 1}
    assert len(fleet.engine.containers) == 1


async def test_an_old_member_is_replaced_before_it_goes(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", pool=pool_of(1, 1, 2))
    keeper = fleet.keeper()
    async with working(keeper) as work:
        await work.step()
        (old,) = keeper.members()
        fleet.now_s = 90
        await work.step()
        assert counts(keeper) == {"ready": 2}
        await work.settle_down()
    assert counts(keeper) == {"ready": 1}
    assert old not in keeper.members()


async def test_a_new_setting_is_followed_at_once(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", pool=pool_of(1, 1, 1))
    keeper = fleet.keeper()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(keeper.run(room=lambda: 100))
        await until(lambda: counts(keeper) == {"ready": 1})
        keeper.configure(pool_of(2, 3, 3))
        await until(lambda: counts(keeper) == {"ready": 3})
        keeper.configure(pool_of(0, 0, 0))
        await until(lambda: counts(keeper) == {})
        running.cancel()
    assert fleet.is_empty()


async def until(holds: Any) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - the keeper's own tasks make it true
            await asyncio.sleep(0)


async def test_draining_removes_all_and_nothing_is_handed_out_after(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", pool=pool_of(2, 3, 3))
    keeper = fleet.keeper()
    async with working(keeper) as work:
        await work.step()
        await keeper.drain()
        assert await keeper.take("runc", connected=False) is None
        await work.step()
    assert fleet.is_empty()


async def test_a_start_under_way_leaves_nothing_when_the_keeper_is_stopped(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", pool=pool_of(1, 1, 1))
    fleet.agents.make = lambda: ScriptedAgent(unhealthy=1_000_000)
    keeper = fleet.keeper()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(keeper.run(room=lambda: 100))
        await until(lambda: fleet.agents.by_directory)
        running.cancel()
    await keeper.drain()
    assert fleet.is_empty()


async def test_a_start_under_way_gives_way_to_a_user(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", pool=pool_of(1, 1, 1))
    fleet.agents.make = lambda: ScriptedAgent(unhealthy=1_000_000)
    keeper = fleet.keeper()
    async with working(keeper) as work:
        keeper.step(work.spawn, room=1)
        await until(lambda: fleet.agents.by_directory)
        assert await keeper.give_way()
        assert fleet.is_empty()
        assert not await keeper.give_way()


class SlowEngine(MemoryEngine):
    """Takes its time to stop a container, and counts how often it is asked to."""

    stops = 0

    async def stop(self, engine_id: str, *, grace_s: float) -> None:
        self.stops += 1
        await asyncio.sleep(0)
        await super().stop(engine_id, grace_s=grace_s)


async def test_two_that_need_a_place_remove_one_member_once(tmp_path: Path) -> None:
    engine = SlowEngine()
    fleet = Fleet(tmp_path / "live", pool=pool_of(1, 1, 1), engine=engine)
    keeper = fleet.keeper()
    async with working(keeper) as work:
        await work.step()
        assert all(await asyncio.gather(keeper.give_way(), keeper.give_way()))
    assert engine.stops == 1
    assert fleet.is_empty()


async def test_what_the_pool_is_short_of_is_told(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", pool=pool_of(1, 2, 2))
    keeper = fleet.keeper()
    told = keeper.report()
    assert (told["runc"].state, told["runc"].reason) == ("refilling", "0 of 2 are ready")
    assert told["runsc"].state == "off"


async def test_a_removal_that_fails_in_no_way_foreseen_does_not_end_the_pool(
    tmp_path: Path,
) -> None:
    class Broken(ScriptedAgent):
        async def close(self) -> None:
            raise RuntimeError("nobody thought of this")

    fleet = Fleet(tmp_path / "live", pool=pool_of(1, 1, 1))
    fleet.agents.make = Broken
    keeper = fleet.keeper()
    with capture_logs() as lines:
        async with working(keeper) as work:
            await work.step()
            keeper.configure(pool_of(0, 0, 0))
            await work.step()
    assert keeper.members() == frozenset()
    assert "warm_container_not_removed" in [line["event"] for line in lines]


async def test_while_memory_is_short_those_that_wait_go_and_come_back_afterwards(
    tmp_path: Path,
) -> None:
    fleet = Fleet(tmp_path / "live", pool=pool_of(1, 2, 3))
    keeper = fleet.keeper()
    async with working(keeper) as work:
        await work.step()
        assert counts(keeper) == {"ready": 2}
        await work.step(is_short=True)
        assert fleet.is_empty()
        assert keeper.spare() == 0
        await work.step(is_short=True)
        assert counts(keeper) == {}
        await work.step()
        assert counts(keeper) == {"ready": 2}


@pytest.mark.parametrize("first_is", ["the keeper's task", "another that needs the place"])
async def test_who_waits_for_a_removal_that_is_given_up_goes_on_with_it(
    tmp_path: Path, first_is: str
) -> None:
    fleet = Fleet(tmp_path / "live", pool=pool_of(1, 1, 1))
    keeper = fleet.keeper()
    async with working(keeper) as work:
        await work.settle_down()
        taken = await keeper.take("runc", connected=False)
        assert taken is not None
        stop = fleet.engine.stop

        async def hangs(engine_id: str, *, grace_s: float) -> None:
            await asyncio.Future()

        fleet.engine.stop = hangs  # type: ignore[method-assign]
        keeper.give_up(taken.container.container_id, "test")
        first: asyncio.Task[Any]
        if first_is == "the keeper's task":
            keeper.step(work.spawn, room=0)
            (first,) = work.tasks
        else:
            first = work.group.create_task(keeper.give_way())
        await asyncio.sleep(0)
        second = work.group.create_task(keeper.give_way())
        await asyncio.sleep(0)
        fleet.engine.stop = stop  # type: ignore[method-assign]
        first.cancel()
        async with asyncio.timeout(60):
            await second
    assert fleet.is_empty()
    assert keeper.members() == frozenset()
