import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from anyio.lowlevel import checkpoint
from tests.unit.host.containers.fleet import Fleet

from hakoiri.host.containers.model import ContainerDirectories, ContainerState
from hakoiri.host.containers.ports import (
    ContainerStartError,
    EngineAwayError,
    EngineError,
    ProxyControlError,
)
from hakoiri.host.containers.scripted_agents import ScriptedAgent, ScriptedAgents
from hakoiri.host.containers.testing import MemoryEngine
from hakoiri.wire.agent import AgentHealth
from hakoiri.wire.guard import BoxDirectories

pytestmark = pytest.mark.anyio


class Hanging(ScriptedAgent):
    async def health(self) -> AgentHealth:
        return await asyncio.Future()


async def nothing(_: ContainerDirectories) -> None:
    return


async def test_a_started_container_is_healthy_sealed_and_prepared(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", agents=ScriptedAgents(lambda: ScriptedAgent(unhealthy=3)))
    fleet.engine.owner_uid, fleet.engine.owner_gid = 101_000, 102_000

    async def prepare(directories: ContainerDirectories) -> None:
        assert (directories.owner_uid, directories.owner_gid) == (101_000, 102_000)
        (directories.workspace / "restored").touch()

    container = await fleet.lifecycle().start("c1", prepare=prepare)

    assert container.state is ContainerState.HEALTHY
    assert (container.directories.workspace / "restored").exists()
    assert fleet.engine.containers["hakoiri-c1"]["HostConfig"]["NetworkMode"] == "none"
    assert fleet.proxy.sockets == {"c1": None}, "healthy, but bound to nothing"


@pytest.mark.parametrize("method", ["make_box", "create", "start"])
async def test_a_start_that_fails_anywhere_leaves_nothing(tmp_path: Path, method: str) -> None:
    fleet = Fleet(tmp_path / "live")
    fleet.engine.fail = {method}
    with pytest.raises(EngineError, match=method):
        await fleet.lifecycle().start("c1", prepare=nothing)
    assert fleet.is_empty()


async def test_a_start_without_the_proxy_leaves_nothing(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    fleet.proxy.away = True
    with pytest.raises(ProxyControlError):
        await fleet.lifecycle().start("c1", prepare=nothing)
    assert fleet.is_empty()


async def test_files_that_cannot_be_restored_end_the_start_with_their_own_reason(
    tmp_path: Path,
) -> None:
    fleet = Fleet(tmp_path / "live", agents=ScriptedAgents(lambda: ScriptedAgent(dead=True)))

    async def damaged(_: ContainerDirectories) -> None:
        raise ValueError("blob 12 is damaged")

    with pytest.raises(ValueError, match="blob 12"):
        await fleet.lifecycle().start("c1", prepare=damaged)
    assert fleet.is_empty()


async def test_a_healthy_agent_is_let_go_when_the_files_cannot_be_restored(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")

    async def damaged(directories: ContainerDirectories) -> None:
        while directories.agent not in fleet.agents.by_directory:
            await checkpoint()
        raise ValueError("blob 12 is damaged")

    with pytest.raises(ValueError, match="blob 12"):
        await fleet.lifecycle().start("c1", prepare=damaged)
    assert fleet.is_empty()


async def test_an_adoption_that_is_given_up_lets_the_agent_go(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    await fleet.lifecycle().start("c1", prepare=nothing)
    fleet.agents.make = Hanging
    async with asyncio.TaskGroup() as group:
        adoption = group.create_task(fleet.lifecycle().adopt("c1"))
        while not any(isinstance(agent, Hanging) for agent in fleet.agents.by_directory.values()):
            await checkpoint()
        adoption.cancel()
    assert adoption.cancelled()
    assert all(agent.closed for agent in fleet.agents.by_directory.values())


async def test_a_container_that_dies_before_it_is_healthy_is_told_with_its_reason(
    tmp_path: Path,
) -> None:
    fleet = Fleet(tmp_path / "live", agents=ScriptedAgents(lambda: ScriptedAgent(dead=True)))
    fleet.engine.dies_at_start = True
    with pytest.raises(ContainerStartError, match="exit code 137"):
        await fleet.lifecycle().start("c1", prepare=nothing)
    assert fleet.is_empty()


async def test_a_container_that_never_gets_healthy_is_given_up_and_removed(tmp_path: Path) -> None:
    fleet = Fleet(
        tmp_path / "live",
        start_timeout_s=0.05,
        agents=ScriptedAgents(lambda: ScriptedAgent(dead=True)),
    )
    with pytest.raises(ContainerStartError, match="START_TIMEOUT_S"):
        await fleet.lifecycle().start("c1", prepare=nothing)
    assert fleet.is_empty()


class UnhurriedEngine(MemoryEngine):
    """Makes what was asked for once `go_on` is set, whether or not the caller still waits."""

    def __init__(self, slow: str) -> None:
        super().__init__()
        self._slow = slow
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()
        self.making: asyncio.Task[None] | None = None

    async def _make(self, method: str) -> None:
        if method != self._slow:
            return
        self.asked.set()
        await self.go_on.wait()

    async def create(self, *, name: str, config: Mapping[str, Any]) -> str:
        async def make() -> None:
            await self._make("create")
            await MemoryEngine.create(self, name=name, config=config)

        self.making = asyncio.get_running_loop().create_task(make())
        await asyncio.shield(self.making)
        return name

    async def make_box(self, container_id: str) -> BoxDirectories:
        async def make() -> None:
            await self._make("make_box")
            await MemoryEngine.make_box(self, container_id)

        self.making = asyncio.get_running_loop().create_task(make())
        await asyncio.shield(self.making)
        return BoxDirectories(workspace="/w", home="/h", agent="/a", owner_uid=1000, owner_gid=1000)


@pytest.mark.parametrize("slow", ["make_box", "create"])
async def test_what_the_engine_makes_after_the_start_was_given_up_does_not_stay(
    tmp_path: Path, slow: str
) -> None:
    engine = UnhurriedEngine(slow)
    fleet = Fleet(tmp_path / "live", engine=engine)
    async with asyncio.TaskGroup() as group:
        start = group.create_task(fleet.lifecycle().start("c1", prepare=nothing))
        await engine.asked.wait()
        start.cancel()
        for _ in range(20):
            await checkpoint()
        engine.go_on.set()
    assert start.cancelled()
    assert engine.making is not None
    await engine.making
    assert fleet.is_empty()


async def test_a_stopped_container_takes_all_that_belonged_to_it_along(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    lifecycle = fleet.lifecycle()
    container = await lifecycle.start("c1", prepare=nothing)
    await lifecycle.stop(container)
    assert container.state is ContainerState.GONE
    assert fleet.is_empty()


async def test_a_removal_step_that_fails_does_not_keep_the_others_from_being_done(
    tmp_path: Path,
) -> None:
    fleet = Fleet(tmp_path / "live")
    lifecycle = fleet.lifecycle()
    container = await lifecycle.start("c1", prepare=nothing)
    fleet.engine.fail = {"stop"}
    await lifecycle.stop(container)
    assert not fleet.engine.containers
    assert not fleet.proxy.sockets
    assert not any(fleet.root.iterdir())


async def test_a_sweep_finds_leftovers_of_every_kind_and_keeps_what_is_live(
    tmp_path: Path,
) -> None:
    fleet = Fleet(tmp_path / "live")
    lifecycle = fleet.lifecycle()
    await lifecycle.start("c1", prepare=nothing)
    await lifecycle.start("c2", prepare=nothing)
    fleet.engine.containers["hakoiri-c3"] = {"Labels": {"hakoiri.instance": "i1"}}
    (fleet.root / "c4").mkdir()
    fleet.engine.containers["other"] = {"Labels": {"hakoiri.instance": "i2"}}

    assert await lifecycle.sweep(keep=frozenset({"c2"})) == ["c1", "c3", "c4"]

    assert set(fleet.engine.containers) == {"hakoiri-c2", "other"}
    assert [path.name for path in fleet.root.iterdir()] == ["c2"]


async def test_a_halted_container_runs_no_more_and_keeps_its_directories(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    lifecycle = fleet.lifecycle()
    container = await lifecycle.start("c1", prepare=nothing)
    container.advance(ContainerState.CLAIMED)
    (container.directories.workspace / "kept").touch()
    await lifecycle.halt(container)
    await lifecycle.halt(container)
    assert container.state is ContainerState.HALTED
    assert fleet.engine.running == set()
    assert fleet.proxy.sockets == {}
    assert (container.directories.workspace / "kept").exists()
    await lifecycle.stop(container)
    assert fleet.is_empty()


async def test_a_container_that_may_still_run_is_not_halted(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    lifecycle = fleet.lifecycle()
    container = await lifecycle.start("c1", prepare=nothing)
    container.advance(ContainerState.CLAIMED)
    fleet.engine.fail = {"stop"}
    with pytest.raises(EngineError):
        await lifecycle.halt(container)
    assert container.state is ContainerState.CLAIMED


async def test_every_start_is_counted_as_it_ended(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    told: list[tuple[str, str]] = []

    class Tally:
        def started(self, kind: str, result: str, *, seconds: float) -> None:
            assert seconds == 0
            told.append((kind, result))

    lifecycle = fleet.lifecycle(starts=Tally())
    await lifecycle.start("c1", prepare=nothing)
    await lifecycle.start("c2", prepare=nothing, kind="warm")
    fleet.engine.fail = {"create"}
    with pytest.raises(EngineError):
        await lifecycle.start("c3", prepare=nothing)
    assert told == [("cold", "ok"), ("warm", "ok"), ("cold", "failed")]


async def test_what_a_discard_that_is_given_up_leaves_is_in_nobodys_hand(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    lifecycle = fleet.lifecycle()
    await lifecycle.start("c1", prepare=nothing)
    removes = fleet.engine.remove

    async def hangs(engine_id: str) -> None:
        limit.reschedule(0)
        await asyncio.Future()

    fleet.engine.remove = hangs  # type: ignore[method-assign]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as limit:
            await lifecycle.discard("c1")
    assert lifecycle.in_hand() == frozenset()
    fleet.engine.remove = removes  # type: ignore[method-assign]
    await lifecycle.look_back()
    assert fleet.engine.containers == {}
    assert fleet.proxy.sockets == {}


@pytest.mark.parametrize(("is_frozen", "grace_s"), [(True, 0), (False, 7)])
async def test_a_frozen_container_gets_no_grace(
    tmp_path: Path,
    is_frozen: bool,  # noqa: FBT001 - parametrized
    grace_s: float,
) -> None:
    fleet = Fleet(tmp_path / "live")
    lifecycle = fleet.lifecycle()
    lifecycle._stop_grace_s = 7
    container = await lifecycle.start("c1", prepare=nothing)
    container.advance(ContainerState.CLAIMED)
    if is_frozen:
        await lifecycle.freeze(container)
    calls: list[object] = []
    closes = fleet.proxy.close_socket

    async def stop(engine_id: str, *, grace_s: float) -> None:
        assert engine_id not in fleet.engine.frozen
        calls.append(grace_s)

    async def close_socket(container_id: str) -> None:
        assert bool(fleet.engine.frozen) == (is_frozen and not calls)
        calls.append("closed")
        await closes(container_id)

    fleet.engine.stop = stop  # type: ignore[method-assign]
    fleet.proxy.close_socket = close_socket  # type: ignore[method-assign]
    await lifecycle.stop(container)
    assert calls[:2] == ["closed", grace_s]


@pytest.mark.parametrize("step", ["pause", "unpause"])
async def test_a_container_is_known_to_be_frozen_or_not_though_who_froze_it_gave_up(
    tmp_path: Path, step: str
) -> None:
    fleet = Fleet(tmp_path / "live")
    lifecycle = fleet.lifecycle()
    container = await lifecycle.start("c1", prepare=nothing)
    container.advance(ContainerState.CLAIMED)
    if step == "unpause":
        await lifecycle.freeze(container)
    does, asked, may_go_on = getattr(fleet.engine, step), asyncio.Event(), asyncio.Event()

    async def slowly(engine_id: str) -> None:
        asked.set()
        await may_go_on.wait()
        await does(engine_id)

    setattr(fleet.engine, step, slowly)
    async with asyncio.TaskGroup() as group:
        work = lifecycle.freeze if step == "pause" else lifecycle.thaw
        task = group.create_task(work(container))
        await asked.wait()
        task.cancel()
        await checkpoint()
        may_go_on.set()
    assert task.cancelled()
    is_frozen = bool(fleet.engine.frozen)
    assert is_frozen == (step == "pause")
    assert (container.state is ContainerState.PAUSED) == is_frozen


async def test_a_container_that_an_engine_froze_without_a_word_is_thawed(tmp_path: Path) -> None:
    agent = ScriptedAgent()
    fleet = Fleet(tmp_path / "live", agents=ScriptedAgents(lambda: agent))
    lifecycle = fleet.lifecycle()
    container = await lifecycle.start("c1", prepare=nothing)
    container.advance(ContainerState.CLAIMED)
    pause = fleet.engine.pause

    async def breaks_off(engine_id: str) -> None:
        await pause(engine_id)
        agent.dead = True
        raise EngineAwayError("the guard was killed")

    fleet.engine.pause = breaks_off  # type: ignore[method-assign]
    with pytest.raises(EngineAwayError):
        await lifecycle.freeze(container)
    await lifecycle.thaw(container)
    assert fleet.engine.frozen == set()


async def test_one_that_an_absent_engine_did_not_freeze_needs_no_engine_to_go_on(
    tmp_path: Path,
) -> None:
    fleet = Fleet(tmp_path / "live")
    lifecycle = fleet.lifecycle()
    container = await lifecycle.start("c1", prepare=nothing)
    container.advance(ContainerState.CLAIMED)
    fleet.engine.away = True
    with pytest.raises(EngineAwayError):
        await lifecycle.freeze(container)
    await lifecycle.thaw(container)
    assert container.state is ContainerState.CLAIMED


async def test_a_time_limit_around_a_start_that_failed_is_told_as_one(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    fleet.engine.fail = {"create"}

    async def claims() -> None:
        async with asyncio.timeout(None) as limit:
            with pytest.raises(EngineError):
                await fleet.lifecycle().start("c1", prepare=nothing)
            limit.reschedule(0)
            await asyncio.Future()  # it waits for the engine

    with pytest.raises(TimeoutError):
        await claims()
