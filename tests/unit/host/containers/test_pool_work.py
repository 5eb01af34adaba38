from pathlib import Path

import pytest
from tests.unit.host.containers.fleet import OPTIONS, Fleet

from hakoiri.host.containers.pool_work import PoolWork, is_well
from hakoiri.host.containers.ports import AgentProtocolError, AgentUnreachableError
from hakoiri.host.containers.scripted_agents import ScriptedAgent
from hakoiri.wire.agent import AgentHealth, AgentOptions

pytestmark = pytest.mark.anyio


def work_of(fleet: Fleet) -> PoolWork:
    return PoolWork(lifecycle=fleet.lifecycle(), connect_options=OPTIONS)


@pytest.mark.parametrize("connects", [True, False])
async def test_a_member_is_started_with_or_without_the_agents_process(
    tmp_path: Path, *, connects: bool
) -> None:
    fleet = Fleet(tmp_path / "live")
    work = work_of(fleet)
    container = await work.start("c1", runtime="runsc", connects=connects)
    (agent,) = fleet.agents.by_directory.values()
    assert agent.connected == ([OPTIONS] if connects else [])
    labels = fleet.engine.containers["hakoiri-c1"]["Labels"]
    assert labels["hakoiri.runtime"] == "runsc"
    await work.remove("c1", container)
    assert fleet.is_empty()


class Unconnectable(ScriptedAgent):
    async def connect(self, options: AgentOptions) -> None:
        raise AgentUnreachableError("no process")


async def test_a_process_that_does_not_start_leaves_no_container(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    fleet.agents.make = Unconnectable
    with pytest.raises(AgentUnreachableError):
        await work_of(fleet).start("c1", runtime="runc", connects=True)
    assert fleet.is_empty()


async def test_what_is_left_of_a_half_removed_one_goes_too(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    work = work_of(fleet)
    container = await work.start("c1", runtime="runc", connects=False)
    assert container.agent is not None
    await container.agent.close()
    await work.remove("c1", None)
    assert fleet.is_empty()


class Garbled(ScriptedAgent):
    garbled = False

    async def health(self) -> AgentHealth:
        if self.garbled:
            raise AgentProtocolError("no health of ours")
        return await super().health()


async def test_who_does_not_answer_as_agreed_is_not_well(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    fleet.agents.make = Garbled
    container = await work_of(fleet).start("c1", runtime="runc", connects=False)
    assert await is_well(container)
    (agent,) = fleet.agents.by_directory.values()
    assert isinstance(agent, Garbled)
    agent.garbled = True
    assert not await is_well(container)
    agent.garbled, agent.dead = False, True
    assert not await is_well(container)
    container.agent = None
    assert not await is_well(container)
