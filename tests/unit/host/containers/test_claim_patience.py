import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.host.containers.fleet import Fleet, container_id_of, pool_of

from hakoiri.host.containers.admission import LinePlace
from hakoiri.host.containers.model import Claim, ContainerDirectories, ContainerState
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import (
    ContainerEndedError,
    EngineAwayError,
    EngineError,
    ProxyAwayError,
    StoppingError,
)
from hakoiri.host.containers.scripted_agents import ScriptedAgent, ScriptedAgents
from hakoiri.wire.policy import DENY_ALL

pytestmark = pytest.mark.anyio


class Passing(Fleet):
    """A fleet in which something happens with each pause of a claim that waits."""

    happens: Callable[[], None] = staticmethod(lambda: None)

    async def pass_time(self, for_s: float) -> None:
        await super().pass_time(for_s)
        self.happens()


async def nothing(_: ContainerDirectories) -> None:
    return


async def claim(
    orchestrator: Orchestrator, told: list[LinePlace] | None = None, *, holder: str = "turn"
) -> Claim:
    return await orchestrator.claim(
        workspace_id="w1",
        tenant="default",
        policy=DENY_ALL,
        prepare=nothing,
        runtime="runc",
        restores=False,
        holder=holder,
        told=None if told is None else told.append,
    )


def back_after(fleet: Passing, looks: int) -> None:
    """Let engine and proxy be back after so many pauses."""

    def happens() -> None:
        if len(fleet.pauses) >= looks:
            fleet.engine.away = fleet.proxy.away = False

    fleet.happens = happens


@pytest.mark.parametrize("who", ["engine", "proxy"])
async def test_a_claim_waits_for_what_is_away_and_is_told_once(tmp_path: Path, who: str) -> None:
    fleet = Passing(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    getattr(fleet, who).away = True
    back_after(fleet, looks=3)
    told: list[LinePlace] = []
    assert (await claim(orchestrator, told)).start == "cold"
    assert len(fleet.pauses) == 3
    assert told == [LinePlace(1, 1, "services", 60)]
    assert len(fleet.engine.containers) == len(fleet.claims.by_container) == 1
    assert orchestrator.admission.promised == 0


@pytest.mark.parametrize("who", ["engine", "proxy"])
async def test_what_stays_away_is_given_up_at_the_limit(tmp_path: Path, who: str) -> None:
    fleet = Passing(tmp_path / "live", wait_s=30)
    orchestrator = fleet.orchestrator()
    getattr(fleet, who).away = True
    with pytest.raises((EngineAwayError, ProxyAwayError)):
        await claim(orchestrator)
    assert fleet.now_s == pytest.approx(30)
    assert not fleet.claims.by_container
    assert orchestrator.live_containers() == 0


async def test_what_the_engine_refuses_is_told_at_once(tmp_path: Path) -> None:
    fleet = Passing(tmp_path / "live")
    fleet.engine.fail = {"start"}
    with pytest.raises(EngineError, match="start fails"):
        await claim(fleet.orchestrator())
    assert not fleet.pauses


async def test_a_container_that_was_created_for_nobody_is_gone_before_another_is(
    tmp_path: Path,
) -> None:
    """The engine created it, and went before it said so: the removal failed as well."""
    fleet = Passing(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    create = fleet.engine.create
    seen: list[int] = []

    async def create_and_go(**given: object) -> str:
        seen.append(len(fleet.engine.containers))
        made = await create(**given)  # type: ignore[arg-type]
        if len(seen) == 1:
            fleet.engine.away = True
            raise EngineAwayError("the connection broke")
        return made

    fleet.engine.create = create_and_go  # type: ignore[method-assign]
    back_after(fleet, looks=2)
    made = await claim(orchestrator)
    assert seen == [0, 0], "no second one beside the first"
    assert list(fleet.engine.containers) == [f"hakoiri-{made.container_id}"]
    assert await fleet.engine.list_boxes() == [made.container_id]
    assert fleet.proxy.sockets.keys() == {made.container_id}


async def test_a_container_that_an_ending_engine_took_with_it_is_started_again(
    tmp_path: Path,
) -> None:
    agents = ScriptedAgents(lambda: ScriptedAgent(dead=fleet.engine.dies_at_start))
    fleet = Passing(tmp_path / "live", agents=agents)
    fleet.engine.dies_at_start = True

    def lives_again() -> None:
        fleet.engine.dies_at_start = False

    fleet.happens = lives_again
    assert (await claim(fleet.orchestrator())).start == "cold"
    assert len(fleet.engine.containers) == 1


async def test_a_container_that_always_ends_is_started_thrice_and_no_more(tmp_path: Path) -> None:
    fleet = Passing(tmp_path / "live", agents=ScriptedAgents(lambda: ScriptedAgent(dead=True)))
    fleet.engine.dies_at_start = True
    with pytest.raises(ContainerEndedError):
        await claim(fleet.orchestrator())
    assert len(fleet.agents.by_directory) == 3
    assert fleet.is_empty()


async def test_a_frozen_container_is_not_given_up_because_the_engine_is_away(
    tmp_path: Path,
) -> None:
    fleet = Passing(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    first = await claim(orchestrator)
    await orchestrator.release("w1")
    await orchestrator.freeze("w1", container_id=container_id_of(orchestrator, "w1"))
    fleet.engine.away = True
    back_after(fleet, looks=2)
    again = await claim(orchestrator)
    assert (again.container_id, again.start) == (first.container_id, "live")
    live = orchestrator.live_in("w1")
    assert live is not None
    assert live.container.state is ContainerState.CLAIMED


async def test_a_turn_waits_while_the_files_of_a_dead_container_are_saved(tmp_path: Path) -> None:
    fleet = Passing(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    first = await claim(orchestrator, holder="save 1")
    (agent,) = fleet.agents.by_directory.values()
    agent.dead = True
    kept: list[bool] = []

    def is_saved_at_last() -> None:
        kept.append(first.directories.workspace.exists())
        if len(fleet.pauses) == 3:
            live = orchestrator.live_in("w1")
            assert live is not None
            live.let_go("save 1", now_s=fleet.now_s)

    fleet.happens = is_saved_at_last
    again = await claim(orchestrator)
    assert again.container_id != first.container_id
    assert kept == [True] * 3


async def test_one_warm_container_at_most_is_lost_to_a_proxy_that_is_away(tmp_path: Path) -> None:
    fleet = Passing(tmp_path / "live", limit=8, pool=pool_of(3, 3, 3))
    keeper = fleet.keeper()
    orchestrator = fleet.orchestrator(keeper)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(keeper.run(room=lambda: 8))
        async with asyncio.timeout(60):
            while keeper.sizes().get(("runc", "ready")) != 3:  # noqa: ASYNC110 - the keeper's tasks fill it
                await asyncio.sleep(0)
        fleet.proxy.away = True
        back_after(fleet, looks=5)
        assert (await claim(orchestrator)).start == "warm"
        assert keeper.sizes()["runc", "ready"] == 1, "one was lost, one is claimed"
        running.cancel()


async def test_a_command_waits_no_more_when_the_server_stops_and_a_turn_does(
    tmp_path: Path,
) -> None:
    fleet = Passing(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    fleet.engine.away = True
    fleet.happens = orchestrator.admission.close
    with pytest.raises(StoppingError):
        await claim(orchestrator, holder="command 1")
    assert len(fleet.pauses) == 1
    with pytest.raises(EngineAwayError):
        await claim(orchestrator)
