from pathlib import Path

import pytest
from tests.unit.host.containers.fleet import Fleet

from hakoiri.host.containers.box_probe import SHOWN_LIMIT, BoxProbe, ProbeTold, look_at_a_box
from hakoiri.host.containers.ports import AgentUnreachableError
from hakoiri.host.containers.scripted_agents import ScriptedAgent, ScriptedAgents
from hakoiri.wire.probe import ProbeFinding, ProbeReport, ProbeRequest

pytestmark = pytest.mark.anyio


class Looking(ScriptedAgent):
    """An agent in a box in which `doors` doors are open; below 0, one that breaks off."""

    doors = 0

    async def probe(self, request: ProbeRequest) -> ProbeReport:
        if self.doors < 0:
            raise AgentUnreachableError("it broke off")
        report = await super().probe(request)
        found = [
            ProbeFinding(name=f"door {number}", result="open", how="EINVAL")
            for number in range(self.doors)
        ]
        return ProbeReport(findings=[*report.findings, *found])


class Open(Looking):
    doors = 2


class WideOpen(Looking):
    doors = 500


class Broken(Looking):
    doors = -1


async def told_of(tmp_path: Path, agent: type[ScriptedAgent]) -> ProbeTold:
    fleet = Fleet(tmp_path / "live", agents=ScriptedAgents(agent))
    probe = BoxProbe(lifecycle=fleet.lifecycle(), runtime="runc")
    assert probe.told == ProbeTold("off")
    await probe.run()
    assert fleet.is_empty(), "the container is gone, whatever came of it"
    return probe.told


async def test_a_shut_box_has_nothing_open(tmp_path: Path) -> None:
    assert await told_of(tmp_path, Looking) == ProbeTold("done", refused=1)


async def test_what_is_open_is_named_and_bounded(tmp_path: Path) -> None:
    told = await told_of(tmp_path, Open)
    assert told == ProbeTold("done", refused=1, open=("door 0: EINVAL", "door 1: EINVAL"))
    assert len((await told_of(tmp_path / "more", WideOpen)).open) == SHOWN_LIMIT


async def test_a_box_that_could_not_be_looked_at_is_told_with_the_reason(tmp_path: Path) -> None:
    told = await told_of(tmp_path, Broken)
    assert (told.state, told.reason) == ("failed", "it broke off")


async def test_an_engine_that_is_away_is_a_reason_too(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    fleet.engine.fail = {"create"}
    probe = BoxProbe(lifecycle=fleet.lifecycle(), runtime="runc")
    await probe.run()
    assert probe.told == ProbeTold("failed", reason="create fails")


async def test_the_request_reaches_the_box(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    fleet.engine.owner_uid, fleet.engine.owner_gid = 166_536, 266_536
    asked: list[ProbeRequest] = []

    class Asked(ScriptedAgent):
        async def probe(self, request: ProbeRequest) -> ProbeReport:
            asked.append(request)
            return await super().probe(request)

    fleet.agents = ScriptedAgents(Asked)
    await look_at_a_box(fleet.lifecycle(), runtime="runsc", thorough=True)
    assert asked == [
        ProbeRequest(runtime="runsc", owner_uid=166_536, owner_gid=266_536, thorough=True)
    ]
