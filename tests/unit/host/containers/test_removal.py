"""What a claim finds in its way is removed behind it, whatever the engine does."""

import asyncio
from pathlib import Path

import anyio
import pytest
from tests.unit.host.containers.fleet import Fleet, container_id_of, pool_of
from tests.unit.host.containers.test_orchestrator import carry_out, claim, settled, warmed

from hakoiri.host.containers import removal
from hakoiri.host.containers.admission import LinePlace
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import CapacityError, FilesUnsavedError, ProxyAwayError
from hakoiri.host.containers.testing import MemoryEngine
from hakoiri.wire.policy import Policy, Rule

pytestmark = pytest.mark.anyio


class HangingEngine(MemoryEngine):
    """Stops and removes nothing until it `works`."""

    def __init__(self) -> None:
        super().__init__()
        self.works = anyio.Event()
        self.works.set()

    def hang(self) -> None:
        self.works = anyio.Event()

    async def stop(self, engine_id: str, *, grace_s: float) -> None:
        await self.works.wait()
        await super().stop(engine_id, grace_s=grace_s)

    async def remove(self, engine_id: str) -> None:
        await self.works.wait()
        await super().remove(engine_id)

    async def remove_box(self, container_id: str) -> None:
        await self.works.wait()
        await super().remove_box(container_id)


def hanging(root: Path, *, limit: int, queue: int = 100, warm: int = 0) -> Fleet:
    return Fleet(
        root / "live",
        limit=limit,
        queue=queue,
        pool=pool_of(warm, warm, warm),
        engine=HangingEngine(),
    )


def hang(fleet: Fleet) -> HangingEngine:
    assert isinstance(fleet.engine, HangingEngine)
    fleet.engine.hang()
    return fleet.engine


async def lost(fleet: Fleet, orchestrator: Orchestrator, workspace: str = "w1") -> str:
    """Give the workspace a container that is idle and saved, and whose agent is gone."""
    made = await claim(orchestrator, workspace)
    await orchestrator.release(workspace, is_saved=True)
    fleet.agents.by_directory[made.directories.agent].dead = True
    return made.container_id


async def test_a_claim_that_finds_its_container_dead_does_not_wait_for_a_hung_engine(
    tmp_path: Path,
) -> None:
    fleet = hanging(tmp_path, limit=2)
    orchestrator = fleet.orchestrator()
    old = await lost(fleet, orchestrator)
    engine = hang(fleet)
    made = await claim(orchestrator, "w1")
    assert (made.start, made.generation) == ("cold", 2)
    assert fleet.claims.by_container == {made.container_id: "w1"}
    assert old not in fleet.proxy.sockets, "its way out is cut before there is another"
    assert orchestrator.occupied() == 2, "it has its place until it is gone"
    engine.works.set()
    await settled()
    assert list(fleet.engine.containers) == [f"hakoiri-{made.container_id}"]
    assert orchestrator.admission.taken() == 1
    await orchestrator.close()
    assert fleet.is_empty()


async def test_a_hung_engine_does_not_keep_a_claim_from_a_warm_container(tmp_path: Path) -> None:
    fleet = hanging(tmp_path, limit=2, warm=1)
    orchestrator = fleet.orchestrator(keeper := fleet.keeper())
    old = await lost(fleet, orchestrator)
    await carry_out(keeper, room=1)
    hang(fleet)
    made = await claim(orchestrator, "w1")
    assert (made.start, made.generation) == ("warm", 2)
    assert made.container_id != old
    assert orchestrator.occupied() == 2


async def test_another_runtime_does_not_wait_for_a_hung_engine(tmp_path: Path) -> None:
    fleet = hanging(tmp_path, limit=2)
    orchestrator = fleet.orchestrator()
    await claim(orchestrator, "w1")
    await orchestrator.release("w1", is_saved=True)
    hang(fleet)
    assert (await claim(orchestrator, "w1", runtime="runsc")).generation == 2


async def test_a_turn_that_replaces_its_lost_container_does_not_wait_for_the_engine(
    tmp_path: Path,
) -> None:
    fleet = hanging(tmp_path, limit=2)
    orchestrator = fleet.orchestrator()
    await claim(orchestrator, "w1")
    engine = hang(fleet)
    await orchestrator.retire("w1", reason="container-lost", is_replaced=True)
    assert fleet.claims.by_container == {}
    assert (await claim(orchestrator, "w1")).generation == 2
    engine.works.set()
    await settled()
    assert orchestrator.admission.taken() == 1


async def test_its_place_is_kept_until_the_turn_asks_for_it(tmp_path: Path) -> None:
    fleet = hanging(tmp_path, limit=1)
    orchestrator = fleet.orchestrator()
    await claim(orchestrator, "w1")
    async with asyncio.TaskGroup() as group:
        other = group.create_task(claim(orchestrator, "w2"))
        await settled()
        await orchestrator.retire("w1", reason="container-lost", is_replaced=True)
        await settled()
        assert not other.done()
        assert (await claim(orchestrator, "w1")).generation == 2
        await orchestrator.release("w1", is_saved=True)
    assert (await other).workspace_id == "w2"


async def test_without_a_free_place_the_claim_waits_in_the_line_and_no_longer(
    tmp_path: Path,
) -> None:
    fleet = hanging(tmp_path, limit=1, queue=0)
    orchestrator = fleet.orchestrator()
    await lost(fleet, orchestrator)
    engine = hang(fleet)
    told: list[LinePlace] = []
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(fails(orchestrator, told))
        await settled()
        assert not waiting.done()
        assert [(one.position, one.reason) for one in told] == [(1, "places")]
        assert orchestrator.admission.taken() == 1, "never more than there are places"
        fleet.now_s += fleet.wait_s
        orchestrator.admission.look()
    engine.works.set()
    await settled()
    assert orchestrator.admission.taken() == 0, "no place is kept for who has left"
    assert fleet.is_empty()


async def fails(orchestrator: Orchestrator, told: list[LinePlace]) -> None:
    with pytest.raises(CapacityError):
        await claim(orchestrator, "w1", told=told.append)


async def test_the_place_of_the_dead_one_goes_to_its_successor_though_others_wait(
    tmp_path: Path,
) -> None:
    fleet = hanging(tmp_path, limit=1)
    orchestrator = fleet.orchestrator()
    await claim(orchestrator, "w1")
    async with asyncio.TaskGroup() as group:
        other = group.create_task(claim(orchestrator, "w2"))
        await settled()
        next(iter(fleet.agents.by_directory.values())).dead = True
        engine = hang(fleet)
        own = group.create_task(claim(orchestrator, "w1"))
        await settled()
        assert not own.done()
        engine.works.set()
        assert (await own).generation == 2
        await settled()
        assert not other.done()
        await orchestrator.release("w1", is_saved=True)
    assert (await other).workspace_id == "w2"


async def test_nothing_is_given_up_before_its_way_out_is_cut(tmp_path: Path) -> None:
    fleet = hanging(tmp_path, limit=2)
    orchestrator = fleet.orchestrator()
    old = await lost(fleet, orchestrator)
    fleet.proxy.away = True
    with pytest.raises(ProxyAwayError):
        await claim(orchestrator, "w1")
    assert container_id_of(orchestrator, "w1") == old
    assert fleet.claims.by_container == {old: "w1"}
    fleet.proxy.away = False
    assert (await claim(orchestrator, "w1")).generation == 2


async def test_one_that_holds_the_only_copy_of_files_is_not_given_up(tmp_path: Path) -> None:
    fleet = hanging(tmp_path, limit=2)
    orchestrator = fleet.orchestrator()
    old = await lost(fleet, orchestrator)
    await claim_again_unsaved(orchestrator)
    with pytest.raises(FilesUnsavedError):
        await claim(orchestrator, "w1")
    assert container_id_of(orchestrator, "w1") == old


async def claim_again_unsaved(orchestrator: Orchestrator) -> None:
    live = orchestrator.live_in("w1")
    assert live is not None
    live.is_unsaved = True


async def test_a_warm_claim_that_fails_does_not_wait_for_a_hung_engine(tmp_path: Path) -> None:
    fleet = hanging(tmp_path, limit=2, warm=1)
    fleet.proxy.refuse = lambda policy: bool(policy.rules)
    async with warmed(fleet) as (orchestrator, keeper):
        hang(fleet)
        refused = Policy(rules=[Rule(host="files.example.test")])
        with pytest.raises(Exception, match="too wide"):
            await claim(orchestrator, "w1", refused)
        assert fleet.claims.by_container == {}
        assert len(keeper.members()) == 1, "the keeper removes it"
        assert await keeper.take("runc", connected=False) is None, "nobody else gets it"


async def test_a_server_that_ends_waits_a_while_and_loses_nothing_of_sight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "SETTLE_TIMEOUT_S", 0)
    fleet = hanging(tmp_path, limit=2)
    orchestrator = fleet.orchestrator(lifecycle=(lifecycle := fleet.lifecycle()))
    old = await lost(fleet, orchestrator)
    engine = hang(fleet)
    await claim(orchestrator, "w1")
    await orchestrator.leave()
    assert old not in lifecycle.in_hand()
    engine.works.set()
    assert old in await orchestrator.sweep()


async def test_a_server_that_ends_lets_removals_come_to_their_end(tmp_path: Path) -> None:
    fleet = hanging(tmp_path, limit=2)
    orchestrator = fleet.orchestrator()
    old = await lost(fleet, orchestrator)
    engine = hang(fleet)
    await claim(orchestrator, "w1")
    async with asyncio.TaskGroup() as group:
        group.create_task(orchestrator.leave())
        await settled()
        engine.works.set()
    assert f"hakoiri-{old}" not in fleet.engine.containers


async def test_a_removal_that_fails_in_no_way_foreseen_frees_its_place(tmp_path: Path) -> None:
    fleet = hanging(tmp_path, limit=2)
    orchestrator = fleet.orchestrator()
    await lost(fleet, orchestrator)

    async def fails_oddly(engine_id: str, *, grace_s: float) -> None:
        raise RuntimeError("odd")

    fleet.engine.stop = fails_oddly  # type: ignore[method-assign]
    await claim(orchestrator, "w1")
    await settled()
    assert orchestrator.occupied() == 1


async def test_few_are_removed_at_a_time(tmp_path: Path) -> None:
    count = removal.AT_ONCE + 3
    fleet = hanging(tmp_path, limit=2 * count)
    orchestrator = fleet.orchestrator()
    for number in range(count):
        await lost(fleet, orchestrator, f"w{number}")
    engine = hang(fleet)
    stops = 0
    stop = engine.stop

    async def counted(engine_id: str, *, grace_s: float) -> None:
        nonlocal stops
        stops += 1
        await stop(engine_id, grace_s=grace_s)

    engine.stop = counted  # type: ignore[method-assign]
    for number in range(count):
        await claim(orchestrator, f"w{number}")
    await settled()
    assert stops == removal.AT_ONCE
    assert orchestrator.occupied() == 2 * count
    engine.works.set()
    await settled()
    assert orchestrator.occupied() == count
