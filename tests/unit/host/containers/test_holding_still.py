"""A workspace that holds still, through the orchestrator that owns it."""

from pathlib import Path

import anyio
import pytest
from tests.unit.host.containers.fleet import Fleet, container_id_of
from tests.unit.host.containers.test_orchestrator import claim

from hakoiri.host.containers.model import ContainerState
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import EngineError, WorkspaceInUseError

pytestmark = pytest.mark.anyio


def state_of(orchestrator: Orchestrator, workspace: str) -> ContainerState | None:
    live = orchestrator.live_in(workspace)
    return None if live is None else live.container.state


async def idle(orchestrator: Orchestrator) -> str:
    made = await claim(orchestrator, "w1")
    await orchestrator.release("w1")
    return made.container_id


async def fail_in(orchestrator: Orchestrator, *, still_given_up: bool) -> None:
    async with orchestrator.still("w1") as still:
        still.give_up()
        if not still_given_up:
            still.keep()
        raise ValueError("failed")


async def test_it_is_frozen_meanwhile_and_runs_afterwards(tmp_path: Path) -> None:
    orchestrator = Fleet(tmp_path / "live").orchestrator()
    made = await claim(orchestrator, "w1")
    await orchestrator.release("w1")
    async with orchestrator.still("w1") as still:
        assert state_of(orchestrator, "w1") is ContainerState.PAUSED
        assert (still.directories, still.generation) == (made.directories, made.generation)
    assert state_of(orchestrator, "w1") is ContainerState.CLAIMED


async def test_one_that_is_given_up_is_gone_without_running_again(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    await idle(orchestrator)
    async with orchestrator.still("w1") as still:
        still.give_up()
    assert state_of(orchestrator, "w1") is None
    assert fleet.is_empty()


async def test_one_that_is_given_up_is_gone_after_a_failure_too(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    await idle(orchestrator)
    with pytest.raises(ValueError, match="failed"):
        await fail_in(orchestrator, still_given_up=True)
    assert fleet.is_empty()


async def test_a_failure_before_leaves_it_as_it_was(tmp_path: Path) -> None:
    orchestrator = Fleet(tmp_path / "live").orchestrator()
    await idle(orchestrator)
    with pytest.raises(ValueError, match="failed"):
        await fail_in(orchestrator, still_given_up=False)
    assert state_of(orchestrator, "w1") is ContainerState.CLAIMED


async def test_one_that_was_frozen_before_stays_frozen(tmp_path: Path) -> None:
    orchestrator = Fleet(tmp_path / "live").orchestrator()
    await idle(orchestrator)
    await orchestrator.freeze("w1", container_id=container_id_of(orchestrator, "w1"))
    async with orchestrator.still("w1"):
        pass
    assert state_of(orchestrator, "w1") is ContainerState.PAUSED


async def test_one_in_use_is_refused_and_not_frozen(tmp_path: Path) -> None:
    orchestrator = Fleet(tmp_path / "live").orchestrator()
    await claim(orchestrator, "w1")
    with pytest.raises(WorkspaceInUseError):
        async with orchestrator.still("w1"):
            pass
    assert state_of(orchestrator, "w1") is ContainerState.CLAIMED


async def test_one_that_cannot_be_frozen_is_not_touched(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    await idle(orchestrator)
    fleet.engine.fail = {"pause"}
    with pytest.raises(EngineError):
        async with orchestrator.still("w1"):
            raise AssertionError("it is not still")
    assert state_of(orchestrator, "w1") is ContainerState.CLAIMED


async def test_one_that_cannot_be_thawed_is_left_to_the_next_claim(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    orchestrator = fleet.orchestrator()
    made = await idle(orchestrator)
    fleet.engine.fail = {"unpause"}
    async with orchestrator.still("w1"):
        pass
    fleet.engine.fail = set()
    assert (await claim(orchestrator, "w1")).container_id == made


async def test_nobody_gets_it_meanwhile(tmp_path: Path) -> None:
    orchestrator = Fleet(tmp_path / "live").orchestrator()
    old = await idle(orchestrator)
    claimed: list[str] = []

    async def next_turn() -> None:
        claimed.append((await claim(orchestrator, "w1")).container_id)

    async with anyio.create_task_group() as group, orchestrator.still("w1") as still:
        group.start_soon(next_turn)
        await anyio.wait_all_tasks_blocked()
        assert claimed == []
        still.give_up()
    assert len(claimed) == 1
    assert claimed != [old], "the next turn is in another container"


async def test_a_workspace_without_a_container_cannot_get_one_meanwhile(tmp_path: Path) -> None:
    orchestrator = Fleet(tmp_path / "live").orchestrator()
    async with anyio.create_task_group() as group, orchestrator.still("w1") as still:
        assert (still.directories, still.generation) == (None, None)
        group.start_soon(claim, orchestrator, "w1")
        await anyio.wait_all_tasks_blocked()
        assert state_of(orchestrator, "w1") is None
        still.give_up()
    assert state_of(orchestrator, "w1") is ContainerState.CLAIMED
