import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.unit.host.containers.fleet import NO_POOL, Fleet, pool_of

from hakoiri.host.containers.admission import LinePlace
from hakoiri.host.containers.admission_gate import Told
from hakoiri.host.containers.lifecycle import Prepare
from hakoiri.host.containers.live import TURN
from hakoiri.host.containers.model import Claim, ContainerDirectories
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.pool_keeper import PoolKeeper
from hakoiri.host.containers.ports import (
    AgentUnreachableError,
    BeingReplacedError,
    CapacityError,
    EngineError,
    PolicyRefusedError,
    WorkspaceGoneError,
    WorkspaceInUseError,
)
from hakoiri.host.containers.saved_removal import Outcome
from hakoiri.host.containers.scripted_agents import ScriptedAgent
from hakoiri.wire.messages import Runtime
from hakoiri.wire.policy import DENY_ALL, Policy, Rule
from hakoiri.wire.pool import PoolConfiguration

pytestmark = pytest.mark.anyio

WIDER = Policy(rules=[Rule(host="files.example.test")])


async def nothing(_: ContainerDirectories) -> None:
    return


async def claim(
    orchestrator: Orchestrator,
    workspace: str,
    policy: Policy = DENY_ALL,
    runtime: Runtime = "runc",
    *,
    tenant: str = "default",
    holder: str = TURN,
    told: Told | None = None,
    prepare: Prepare = nothing,
    restores: bool = True,
) -> Claim:
    return await orchestrator.claim(
        workspace_id=workspace,
        tenant=tenant,
        policy=policy,
        prepare=prepare,
        runtime=runtime,
        restores=restores,
        holder=holder,
        told=told,
    )


async def test_the_first_claim_starts_cold_and_the_second_finds_it_live(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    first = await claim(orchestrator, "w1")
    second = await claim(orchestrator, "w1", WIDER)
    assert (first.start, second.start) == ("cold", "live")
    assert first.container_id == second.container_id
    assert fleet.proxy.sockets[first.container_id] == ("w1", "default", 1, WIDER)


async def test_whose_a_container_is_is_known_while_it_lives(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    made = await claim(orchestrator, "w1")
    assert orchestrator.workspace_in(made.container_id) == "w1"
    assert orchestrator.workspace_in("another") is None
    await orchestrator.retire("w1", reason="test")
    assert orchestrator.workspace_in(made.container_id) is None


async def test_claims_of_one_workspace_at_once_give_one_container(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    claims: list[Claim] = []

    async def one() -> None:
        claims.append(await claim(orchestrator, "w1"))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(one)
    assert len({c.container_id for c in claims}) == 1
    assert len(fleet.engine.containers) == 1


async def test_a_lost_container_is_replaced_under_a_new_generation(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    first = await claim(orchestrator, "w1")
    next(iter(fleet.agents.by_directory.values())).dead = True
    second = await claim(orchestrator, "w1")
    assert second.start == "cold"
    assert second.generation == first.generation + 1
    await settled()
    assert list(fleet.engine.containers) == [f"hakoiri-{second.container_id}"]


async def test_a_refused_policy_leaves_no_container_behind(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    fleet.proxy.refuse = lambda policy: bool(policy.rules)
    with pytest.raises(PolicyRefusedError):
        await claim(fleet.orchestrator(), "w1", WIDER)
    assert fleet.is_empty()


async def test_a_start_that_fails_frees_its_place_and_its_claim(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", limit=1)
    orchestrator = fleet.orchestrator()
    fleet.engine.fail = {"start"}
    with pytest.raises(EngineError):
        await claim(orchestrator, "w1")
    fleet.engine.fail = set()
    assert (await claim(orchestrator, "w2")).start == "cold"


async def test_busy_containers_are_never_taken_and_idle_ones_give_way(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", limit=2)
    orchestrator = fleet.orchestrator()
    await claim(orchestrator, "w1")
    await claim(orchestrator, "w2")
    with pytest.raises(CapacityError, match="HAKOIRI_CONTAINER__LIMIT"):
        await claim(orchestrator, "w3")
    await orchestrator.release("w2")
    await claim(orchestrator, "w3")
    assert set(fleet.claims.by_container.values()) == {"w1", "w3"}


async def test_sockets_that_a_new_proxy_does_not_know_are_bound_again(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    first, second = await claim(orchestrator, "w1", WIDER), await claim(orchestrator, "w2")
    del fleet.proxy.sockets[first.container_id]
    assert await orchestrator.rebind_lost(frozenset({second.container_id})) == [first.container_id]
    assert fleet.proxy.sockets[first.container_id] == ("w1", "default", 1, WIDER)


async def test_a_socket_that_cannot_be_bound_again_holds_up_no_other(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    first, second = await claim(orchestrator, "w1", WIDER), await claim(orchestrator, "w2")
    fleet.proxy.sockets.clear()
    fleet.proxy.refuse = lambda policy: bool(policy.rules)
    assert await orchestrator.rebind_lost(frozenset()) == [second.container_id]
    fleet.proxy.refuse = lambda _: False
    known = await fleet.proxy.bound_sockets()
    assert await orchestrator.rebind_lost(known) == [first.container_id]


async def test_a_turn_right_after_the_proxy_came_back_does_not_wait_for_the_next_look(
    tmp_path: Path,
) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    first = await claim(orchestrator, "w1")
    fleet.proxy.sockets.clear()
    again = await claim(orchestrator, "w1", WIDER)
    assert again.container_id == first.container_id
    assert fleet.proxy.sockets[first.container_id] == ("w1", "default", 1, WIDER)


async def test_another_tenants_policy_does_not_reach_the_container(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    mine = await claim(orchestrator, "w1")
    await orchestrator.rebind(workspace_id="w1", tenant="other", policy=WIDER)
    assert fleet.proxy.sockets[mine.container_id] == ("w1", "default", 1, DENY_ALL)


async def test_a_sweep_forgets_the_claims_of_an_earlier_server(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    await claim(fleet.orchestrator(), "w1")
    fleet.server_dies()
    orchestrator = fleet.orchestrator()
    assert len(await orchestrator.sweep()) == 1
    assert fleet.is_empty()
    assert (await claim(orchestrator, "w1")).generation == 2


async def test_closing_removes_every_container(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    await claim(orchestrator, "w1")
    await claim(orchestrator, "w2")
    await orchestrator.close()
    assert fleet.is_empty()
    assert not orchestrator._places


async def test_closing_removes_what_an_engine_that_was_away_kept(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    await claim(orchestrator, "w1")
    fleet.engine.fail = {"remove"}
    await orchestrator.retire("w1", reason="test")
    assert fleet.engine.containers
    fleet.engine.fail = {"list_ours"}
    await orchestrator.close()
    fleet.engine.fail = set()
    await orchestrator.close()
    assert fleet.is_empty()


def pooled(root: Path, *, preconnect: bool = False, limit: int = 2) -> Fleet:
    return Fleet(root / "live", limit=limit, pool=pool_of(1, 1, 1, preconnect=preconnect))


@asynccontextmanager
async def warmed(fleet: Fleet) -> AsyncIterator[tuple[Orchestrator, PoolKeeper]]:
    """An orchestrator with one ready warm container, which nobody refills."""
    keeper = fleet.keeper()
    await carry_out(keeper, room=1)
    yield fleet.orchestrator(keeper), keeper


async def carry_out(keeper: PoolKeeper, *, room: int = 0) -> None:
    """Let the keeper do a step to its end."""
    async with asyncio.TaskGroup() as group:

        def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
            return group.create_task(work, name=name)

        keeper.step(spawn, room=room)


async def test_a_warm_container_is_claimed_recorded_and_bound_unchanged(tmp_path: Path) -> None:
    fleet = pooled(tmp_path)
    async with warmed(fleet) as (orchestrator, keeper):
        (warm,) = keeper.members()
        before = dict(fleet.engine.containers)
        fleet.engine.fail = {"create", "start", "stop", "remove", "is_running", "list_ours"}
        made = await claim(orchestrator, "w1", WIDER)
        assert (made.start, made.container_id, made.generation) == ("warm", warm, 1)
        assert fleet.claims.by_container == {warm: "w1"}
        assert fleet.proxy.sockets[warm] == ("w1", "default", 1, WIDER)
        assert fleet.engine.containers == before
        assert keeper.members() == frozenset()
        assert orchestrator.workspace_in(warm) == "w1"
        assert (await claim(orchestrator, "w1", WIDER)).start == "live"


@pytest.mark.parametrize(("runtime", "start"), [("runc", "warm"), ("runsc", "cold")])
async def test_a_container_counts_as_filled_when_its_files_are_there_and_not_before(
    tmp_path: Path, runtime: Runtime, start: str
) -> None:
    fleet = pooled(tmp_path)
    filled_before: list[set[str]] = []

    async def prepare(_: ContainerDirectories) -> None:
        filled_before.append(set(fleet.claims.filled))

    async with warmed(fleet) as (orchestrator, _):
        made = await claim(orchestrator, "w1", runtime=runtime, prepare=prepare)
    assert made.start == start
    assert filled_before == [set()]
    assert fleet.claims.filled == {made.container_id}


async def test_a_request_for_another_runtime_is_a_cold_start_of_that_runtime(
    tmp_path: Path,
) -> None:
    fleet = pooled(tmp_path)
    async with warmed(fleet) as (orchestrator, _):
        made = await claim(orchestrator, "w1", runtime="runsc")
        assert made.start == "cold"
        labels = fleet.engine.containers[f"hakoiri-{made.container_id}"]["Labels"]
        assert labels["hakoiri.runtime"] == "runsc"


async def test_another_runtime_than_the_live_ones_replaces_an_idle_container(
    tmp_path: Path,
) -> None:
    orchestrator = Fleet(tmp_path / "live").orchestrator()
    first = await claim(orchestrator, "w1")
    unsaved = await claim(orchestrator, "w1", runtime="runsc")
    assert unsaved.container_id == first.container_id, "it holds what is not saved yet"
    await orchestrator.release("w1")
    second = await claim(orchestrator, "w1", runtime="runsc")
    assert (second.start, second.generation) == ("cold", 2)


async def test_files_come_back_into_a_home_that_the_agents_process_left(tmp_path: Path) -> None:
    fleet = pooled(tmp_path, preconnect=True)
    seen: list[int] = []

    async def prepare(_: ContainerDirectories) -> None:
        (agent,) = fleet.agents.by_directory.values()
        seen.append(len(agent.connected))

    async with warmed(fleet) as (orchestrator, _):
        made = await claim(orchestrator, "w1", prepare=prepare)
        assert (made.start, seen) == ("warm", [0])


async def never(_: ContainerDirectories) -> None:
    raise AssertionError("there is nothing to write")


async def test_a_warm_claim_of_a_new_workspace_is_recorded_as_filled_in_one_write(
    tmp_path: Path,
) -> None:
    fleet = pooled(tmp_path)
    async with warmed(fleet) as (orchestrator, _):
        made = await claim(orchestrator, "w1", prepare=never, restores=False)
    assert made.start == "warm"
    assert fleet.claims.filled == {made.container_id}
    assert fleet.claims.fills == []


async def test_a_new_workspace_keeps_the_agents_process(tmp_path: Path) -> None:
    fleet = pooled(tmp_path, preconnect=True)
    async with warmed(fleet) as (orchestrator, _):
        await claim(orchestrator, "w1", prepare=never, restores=False)
        (agent,) = fleet.agents.by_directory.values()
        assert agent.connected


async def test_a_warm_container_that_cannot_let_go_of_its_process_is_passed_over(
    tmp_path: Path,
) -> None:
    fleet = pooled(tmp_path, preconnect=True)

    class Stubborn(ScriptedAgent):
        async def disconnect(self) -> None:
            raise AgentUnreachableError("no answer")

    fleet.agents.make = Stubborn
    async with warmed(fleet) as (orchestrator, keeper):
        made = await claim(orchestrator, "w1")
        assert (made.start, made.generation) == ("cold", 2)
        await carry_out(keeper)
        assert list(fleet.engine.containers) == [f"hakoiri-{made.container_id}"]
        assert keeper.members() == frozenset()


async def test_a_warm_claim_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    fleet = pooled(tmp_path)
    fleet.proxy.refuse = lambda policy: bool(policy.rules)
    async with warmed(fleet) as (orchestrator, keeper):
        with pytest.raises(PolicyRefusedError):
            await claim(orchestrator, "w1", WIDER)
        assert fleet.claims.by_container == {}
        assert orchestrator.occupied() == 1, "it has its place until it is gone"
        await carry_out(keeper)
        assert fleet.is_empty()


async def test_a_sweep_leaves_the_pool_alone_even_while_one_is_handed_over(tmp_path: Path) -> None:
    fleet = pooled(tmp_path)
    async with warmed(fleet) as (orchestrator, keeper):
        assert await orchestrator.sweep() == []
        assert await keeper.take("runc", connected=False) is not None
        assert await orchestrator.sweep() == []
        assert len(fleet.engine.containers) == 1


async def test_warm_containers_count_and_give_way_before_anybodys_own(tmp_path: Path) -> None:
    fleet = pooled(tmp_path, limit=2)
    async with warmed(fleet) as (orchestrator, keeper):
        assert (orchestrator.live_containers(), orchestrator.room()) == (1, 1)
        await claim(orchestrator, "w1", runtime="runsc")
        await orchestrator.release("w1")
        await claim(orchestrator, "w2", runtime="runsc")
        assert set(fleet.claims.by_container.values()) == {"w1", "w2"}
        assert keeper.members() == frozenset()


async def test_closing_drains_the_pool(tmp_path: Path) -> None:
    fleet = pooled(tmp_path)
    async with warmed(fleet) as (orchestrator, _):
        await claim(orchestrator, "w1", runtime="runsc")
        await orchestrator.close()
        assert fleet.is_empty()


async def test_claims_are_counted_by_how_they_came_by_their_container(tmp_path: Path) -> None:
    fleet = pooled(tmp_path)
    async with warmed(fleet) as (orchestrator, _):
        for _ in range(2):
            await claim(orchestrator, "w1")
        await claim(orchestrator, "w2")
        families = orchestrator._metrics._registry.collect()
        counted = {
            sample.labels["start"]: sample.value
            for family in families
            for sample in family.samples
            if sample.name in ("hakoiri_claims_total", "hakoiri_claim_seconds_count")
        }
        assert counted == {"warm": 1, "live": 1, "cold": 1}


async def test_a_container_is_idle_only_when_nobody_holds_it(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    await claim(orchestrator, "w1")
    joined = await orchestrator.join("w1", holder="command 1")
    assert joined is not None
    assert joined.start == "live"
    assert orchestrator.holders("w1") == frozenset({"turn", "command 1"})
    await orchestrator.release("w1")
    fleet.now_s = 10_000
    assert await orchestrator.retire_if_idle("w1", "idle") is not Outcome.REMOVED
    assert [member.idle_since_s for member in orchestrator.members()] == [None]
    await orchestrator.release("w1", holder="command 1")
    assert [member.idle_since_s for member in orchestrator.members()] == [10_000]
    assert await orchestrator.retire_if_idle("w1", "idle") is Outcome.REMOVED


async def test_only_who_knows_says_whether_files_are_saved(tmp_path: Path) -> None:
    orchestrator = Fleet(tmp_path / "live").orchestrator()
    await claim(orchestrator, "w1")
    await orchestrator.join("w1", holder="command 1")
    await orchestrator.release("w1", is_saved=False)
    await orchestrator.release("w1", holder="command 1")
    assert [member.is_unsaved for member in orchestrator.members()] == [True]
    await orchestrator.join("w1", holder="save 1")
    await orchestrator.release("w1", holder="save 1", is_saved=True)
    assert [member.is_unsaved for member in orchestrator.members()] == [False]


@pytest.mark.parametrize("is_saved", [True, False])
async def test_a_lost_container_that_somebody_else_uses_is_not_taken_from_him(
    tmp_path: Path, *, is_saved: bool
) -> None:
    orchestrator = Fleet(tmp_path / "live").orchestrator()
    await claim(orchestrator, "w1")
    await orchestrator.release("w1", is_saved=is_saved)
    made = await claim(orchestrator, "w1")
    await orchestrator.halt("w1", container_id=made.container_id)
    with pytest.raises(BeingReplacedError):
        await orchestrator.join("w1", holder="command 1")
    with pytest.raises(BeingReplacedError):
        await claim(orchestrator, "w1", holder="command 1")
    assert orchestrator.holders("w1") == frozenset({"turn"})


@pytest.mark.parametrize("need", ["a command", "the only copy", "nobody"])
async def test_a_turn_that_never_began_takes_no_container_from_others(
    tmp_path: Path, need: str
) -> None:
    orchestrator = Fleet(tmp_path / "live").orchestrator()
    made = await claim(orchestrator, "w1")
    if need == "a command":
        await orchestrator.join("w1", holder="command 1")
    if need == "the only copy":
        await orchestrator.release("w1", is_saved=False)
    await orchestrator.withdraw("w1", reason="container-start-failed")
    left = {"a command": frozenset({"command 1"}), "the only copy": frozenset(), "nobody": None}
    assert orchestrator.holders("w1") == left[need]
    assert made.directories.workspace.exists() == (need != "nobody")


@pytest.mark.parametrize("is_saved", [True, False])
async def test_a_lost_container_is_joined_by_nobody_and_gone_only_when_it_is_saved(
    tmp_path: Path,
    is_saved: bool,  # noqa: FBT001 - parametrized
) -> None:
    orchestrator = Fleet(tmp_path / "live").orchestrator()
    made = await claim(orchestrator, "w1")
    await orchestrator.halt("w1", container_id=made.container_id)
    await orchestrator.release("w1", is_saved=is_saved)
    if is_saved:
        assert await orchestrator.join("w1", holder="edit 1") is None
    else:
        with pytest.raises(BeingReplacedError):
            await orchestrator.join("w1", holder="edit 1")
    assert orchestrator.holders("w1") == frozenset()


async def test_joining_a_frozen_container_thaws_it(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    made = await claim(orchestrator, "w1")
    await orchestrator.release("w1")
    await orchestrator.freeze("w1", container_id=made.container_id)
    assert fleet.engine.frozen == {f"hakoiri-{made.container_id}"}
    assert await orchestrator.join("w1", holder="command 1") is not None
    assert fleet.engine.frozen == set()


async def test_a_container_that_a_command_holds_gives_no_way(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", limit=1)
    orchestrator = fleet.orchestrator()
    await orchestrator.claim(
        workspace_id="w1",
        tenant="default",
        policy=DENY_ALL,
        prepare=nothing,
        runtime="runc",
        restores=False,
        holder="command 1",
    )
    with pytest.raises(CapacityError):
        await claim(orchestrator, "w2")
    await orchestrator.release("w1", holder="command 1")
    assert (await claim(orchestrator, "w2")).start == "cold"


async def test_the_same_holder_claims_twice_and_releases_once(tmp_path: Path) -> None:
    """A turn whose files were not saved keeps its container until a later turn lets it go."""
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    await claim(orchestrator, "w1")
    await claim(orchestrator, "w1")
    await orchestrator.release("w1")
    assert orchestrator.holders("w1") == frozenset()


async def test_joining_starts_nothing_and_asks_nobody(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    assert await orchestrator.join("w1", holder="command 1") is None
    assert orchestrator.holders("w1") is None
    await claim(orchestrator, "w1", WIDER)
    fleet.proxy.away = True
    for agent in fleet.agents.by_directory.values():
        agent.dead = True
    joined = await orchestrator.join("w1", holder="command 1")
    assert joined is not None


async def test_a_replaced_policy_is_bound_beside_a_command(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    made = await claim(orchestrator, "w1")
    await orchestrator.join("w1", holder="command 1")
    await orchestrator.rebind(workspace_id="w1", tenant="default", policy=WIDER)
    assert fleet.proxy.sockets[made.container_id] == ("w1", "default", 1, WIDER)


async def test_a_halted_containers_socket_is_not_opened_again(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    made = await claim(orchestrator, "w1")
    await orchestrator.halt("w1", container_id=made.container_id)
    assert await orchestrator.rebind_lost(frozenset()) == []
    assert fleet.proxy.sockets == {}
    await orchestrator.retire("w1", reason="container-lost")
    assert (await claim(orchestrator, "w1")).generation == made.generation + 1
    await orchestrator.halt("w2", container_id="c-none")


def queued(root: Path, *, limit: int = 1, pool: PoolConfiguration = NO_POOL) -> Fleet:
    return Fleet(root / "live", limit=limit, queue=100, pool=pool)


async def settled() -> None:
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


async def test_a_claim_waits_until_a_container_is_idle_and_is_told_where(tmp_path: Path) -> None:
    fleet = queued(tmp_path)
    orchestrator = fleet.orchestrator()
    await claim(orchestrator, "w1")
    places: list[LinePlace] = []
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(claim(orchestrator, "w2", told=places.append))
        await settled()
        assert not waiting.done()
        assert [(one.position, one.waiting) for one in places] == [(1, 1)]
        await orchestrator.release("w1")
        assert (await waiting).start == "cold"
    assert set(fleet.claims.by_container.values()) == {"w2"}


async def test_a_workspace_that_waits_is_in_nobodys_way(tmp_path: Path) -> None:
    """What needs its lock meanwhile gets it: a policy is replaced, a file edited."""
    fleet = queued(tmp_path)
    orchestrator = fleet.orchestrator()
    await claim(orchestrator, "w1")
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(claim(orchestrator, "w2"))
        await settled()
        with anyio.fail_after(60):
            await orchestrator.rebind(workspace_id="w2", tenant="default", policy=WIDER)
            assert await orchestrator.join("w2", holder="edit 1") is None
        waiting.cancel()
    assert orchestrator.admission.taken() == 1


async def test_two_who_wait_for_one_workspace_need_one_place(tmp_path: Path) -> None:
    fleet = queued(tmp_path)
    orchestrator = fleet.orchestrator()
    await claim(orchestrator, "w1")
    async with asyncio.TaskGroup() as group:
        claims = [group.create_task(claim(orchestrator, "w2", holder=h)) for h in ("turn", "c")]
        await settled()
        await orchestrator.release("w1")
    assert sorted(one.result().start for one in claims) == ["cold", "live"]
    assert orchestrator.holders("w2") == frozenset({"turn", "c"})
    assert orchestrator.admission.taken() == 1


async def test_an_interrupted_wait_leaves_the_place_to_the_next(tmp_path: Path) -> None:
    fleet = queued(tmp_path)
    orchestrator = fleet.orchestrator()
    await claim(orchestrator, "w1")
    async with asyncio.TaskGroup() as group:
        first = group.create_task(claim(orchestrator, "w2"))
        await settled()
        second = group.create_task(claim(orchestrator, "w3"))
        await settled()
        first.cancel()
        await orchestrator.release("w1")
    assert (await second).workspace_id == "w3"


async def test_a_start_that_fails_gives_its_place_to_who_waits(tmp_path: Path) -> None:
    fleet = queued(tmp_path)
    orchestrator = fleet.orchestrator()
    await claim(orchestrator, "w1")
    async with asyncio.TaskGroup() as group:
        failing = group.create_task(refused_start(orchestrator, "w2"))
        await settled()
        following = group.create_task(claim(orchestrator, "w3"))
        await settled()
        fleet.engine.fail = {"start"}
        await orchestrator.release("w1")
        await failing
        fleet.engine.fail = set()
    assert (await following).workspace_id == "w3"


async def refused_start(orchestrator: Orchestrator, workspace: str) -> None:
    with pytest.raises(EngineError):
        await claim(orchestrator, workspace)


async def test_what_is_being_removed_takes_its_place_until_it_is_gone(tmp_path: Path) -> None:
    fleet = queued(tmp_path)
    orchestrator = fleet.orchestrator()
    await claim(orchestrator, "w1")
    stopping = anyio.Event()
    stop = fleet.engine.stop

    async def slow_stop(engine_id: str, *, grace_s: float) -> None:
        await stopping.wait()
        await stop(engine_id, grace_s=grace_s)

    fleet.engine.stop = slow_stop  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as group:
        group.create_task(orchestrator.retire("w1", reason="test"))
        await settled()
        waiting = group.create_task(claim(orchestrator, "w2"))
        await settled()
        assert len(fleet.engine.containers) == 1
        assert orchestrator.occupied() == 1
        stopping.set()
    assert (await waiting).start == "cold"


async def test_a_killed_workspace_is_waited_for_by_nobody(tmp_path: Path) -> None:
    fleet = queued(tmp_path)
    orchestrator = fleet.orchestrator()
    await claim(orchestrator, "w1")

    async def gone() -> None:
        with pytest.raises(WorkspaceGoneError):
            await claim(orchestrator, "w2", holder="command 1")

    async with asyncio.TaskGroup() as group:
        group.create_task(gone())
        await settled()
        await orchestrator.retire("w2", reason="killed", for_good=True)


async def test_room_is_there_for_what_is_live_and_for_what_something_gives_way_for(
    tmp_path: Path,
) -> None:
    fleet = Fleet(tmp_path / "live", limit=1)
    orchestrator = fleet.orchestrator()
    await claim(orchestrator, "w1")
    orchestrator.check_room(workspace_id="w1", tenant="default")
    with pytest.raises(CapacityError) as error:
        orchestrator.check_room(workspace_id="w2", tenant="default")
    assert error.value.retry_after_s == 60
    await orchestrator.release("w1")
    orchestrator.check_room(workspace_id="w2", tenant="default")


async def test_forty_claims_on_three_places_all_come_to_run_and_never_more_at_once(
    tmp_path: Path,
) -> None:
    fleet = queued(tmp_path, limit=3, pool=pool_of(1, 1, 1))
    most = 0
    create = fleet.engine.create

    async def counted(*, name: str, config: Mapping[str, Any]) -> str:
        nonlocal most
        made = await create(name=name, config=config)
        most = max(most, len(fleet.engine.containers))
        return made

    fleet.engine.create = counted  # type: ignore[method-assign]
    ran: list[str] = []

    async def turn(orchestrator: Orchestrator, name: str) -> None:
        made = await claim(orchestrator, name, tenant=name[0])
        await settled()
        ran.append(made.workspace_id)
        await orchestrator.release(name)

    async with warmed(fleet) as (orchestrator, _):
        async with asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(turn(orchestrator, f"{'aaab'[number % 4]}{number}"))
        assert len(set(ran)) == 40
        assert most == 3
        await orchestrator.close()
        assert fleet.is_empty()


async def test_a_lost_container_is_replaced_in_its_own_place_though_others_wait(
    tmp_path: Path,
) -> None:
    fleet = queued(tmp_path)
    orchestrator = fleet.orchestrator()
    made = await claim(orchestrator, "w1")
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(claim(orchestrator, "w2"))
        await settled()
        await orchestrator.halt("w1", container_id=made.container_id)
        await orchestrator.retire("w1", reason="container-lost", is_replaced=True)
        await settled()
        assert (await claim(orchestrator, "w1")).generation == 2
        next(reversed(fleet.agents.by_directory.values())).dead = True
        assert (await claim(orchestrator, "w1")).generation == 3, "found dead by the claim itself"
        await settled()
        assert not waiting.done()
        await orchestrator.release("w1")
    assert (await waiting).workspace_id == "w2"
    assert orchestrator.admission.taken() == 1


async def test_a_replacement_that_fails_keeps_no_place(tmp_path: Path) -> None:
    fleet = queued(tmp_path)
    orchestrator = fleet.orchestrator()
    await claim(orchestrator, "w1")
    await orchestrator.retire("w1", reason="container-lost", is_replaced=True)
    assert orchestrator.admission.taken() == 1
    fleet.engine.fail = {"start"}
    await refused_start(orchestrator, "w1")
    assert orchestrator.admission.taken() == 0


async def test_who_names_a_container_touches_no_other(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    lost = (await claim(orchestrator, "w1")).container_id
    await orchestrator.retire("w1", reason="container-lost", container_id=lost)
    made = await claim(orchestrator, "w1")
    await orchestrator.halt("w1", container_id=lost)
    await orchestrator.retire("w1", reason="late", container_id=lost)
    await orchestrator.set_aside("w1", container_id=lost)
    await orchestrator.release("w1")
    await orchestrator.freeze("w1", container_id=lost)
    assert await orchestrator.retire_if_idle("w1", "late", container_id=lost) is not Outcome.REMOVED
    assert fleet.engine.running == {f"hakoiri-{made.container_id}"}
    assert fleet.engine.frozen == set()
    live = orchestrator.live_in("w1")
    assert live is not None
    assert not live.is_unsaved
    await orchestrator.retire("w1", reason="test", container_id=made.container_id)
    assert fleet.is_empty()


async def test_only_a_holder_says_whether_files_are_saved(tmp_path: Path) -> None:
    orchestrator = Fleet(tmp_path / "live").orchestrator()
    await claim(orchestrator, "w1")
    await orchestrator.release("w1", is_saved=False)
    await orchestrator.release("w1", holder="save of the one before", is_saved=True)
    live = orchestrator.live_in("w1")
    assert live is not None
    assert live.is_unsaved


async def test_a_container_that_a_turn_has_taken_is_not_retired_beside_it(tmp_path: Path) -> None:
    orchestrator = Fleet(tmp_path / "live").orchestrator()
    await claim(orchestrator, "w1")
    with pytest.raises(WorkspaceInUseError):
        await orchestrator.retire("w1", reason="killed", unless_held_by=TURN, for_good=True)
    await orchestrator.release("w1")
    await orchestrator.retire("w1", reason="killed", unless_held_by=TURN, for_good=True)
    assert orchestrator.live_in("w1") is None


async def test_a_removal_that_is_given_up_leaves_a_stray_that_is_found(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    lifecycle = fleet.lifecycle()
    orchestrator = fleet.orchestrator(lifecycle=lifecycle)
    made = await claim(orchestrator, "w1")
    stop = fleet.engine.stop

    async def hangs(engine_id: str, *, grace_s: float) -> None:
        limit.reschedule(0)
        await anyio.sleep_forever()

    fleet.engine.stop = hangs  # type: ignore[method-assign]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as limit:
            await orchestrator.retire("w1", reason="test")
    fleet.engine.stop = stop  # type: ignore[method-assign]
    assert fleet.claims.by_container == {}, "the workspace may have another one"
    assert made.container_id not in lifecycle.in_hand(), "the collector may take it"
    await orchestrator.remove_stray(made.container_id)
    assert fleet.is_empty()
