from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.unit.host.containers.fleet import LIMITS, Fleet

from hakoiri.audit.testing import MemoryAudit
from hakoiri.host.containers.box_probe import (
    SHOWN_LIMIT,
    BoxProbe,
    ProbeTold,
    SeenFromOutside,
    State,
    look_at_a_box,
    summed,
)
from hakoiri.host.containers.ports import AgentUnreachableError
from hakoiri.host.containers.scripted_agents import ScriptedAgent, ScriptedAgents
from hakoiri.wire.messages import Runtime
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
        return ProbeReport(findings=[*report.findings, *found], processor_s=0.25)


class Open(Looking):
    doors = 2


class WideOpen(Looking):
    doors = 500


class Broken(Looking):
    doors = -1


OUTSIDE = SeenFromOutside(namespaces={"ipc": 7}, apparmor="p (enforce)", limits=LIMITS)


async def outside() -> SeenFromOutside:
    return OUTSIDE


class Tally:
    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []

    def probed(self, runtime: Runtime, *, refused: int, still_open: int) -> None:
        self.told.append((runtime, refused, still_open))


@dataclass
class Looked:
    """A probe of boxes in memory, whose every look takes half a second."""

    fleet: Fleet
    runtimes: tuple[Runtime, ...] = ("runc",)
    tally: Tally = field(default_factory=Tally)
    audit: MemoryAudit = field(default_factory=MemoryAudit)

    def probe(self) -> BoxProbe:
        times = count()
        return BoxProbe(
            lifecycle=self.fleet.lifecycle(),
            runtimes=self.runtimes,
            outside=outside,
            tally=self.tally,
            audit=self.audit,
            clock=lambda: next(times) / 2,
        )

    async def told(self) -> dict[Runtime, ProbeTold]:
        probe = self.probe()
        assert set(probe.told.values()) == {ProbeTold("off")}
        await probe.run()
        assert self.fleet.is_empty(), "the container is gone, whatever came of it"
        return probe.told


async def told_of(tmp_path: Path, agent: type[ScriptedAgent]) -> ProbeTold:
    return (await Looked(Fleet(tmp_path / "live", agents=ScriptedAgents(agent))).told())["runc"]


async def test_a_shut_box_has_nothing_open(tmp_path: Path) -> None:
    expected = ProbeTold("done", refused=1, took_s=0.5, processor_s=0.25)
    assert await told_of(tmp_path, Looking) == expected


async def test_what_is_open_is_named_and_bounded(tmp_path: Path) -> None:
    told = await told_of(tmp_path, Open)
    assert (told.state, told.refused) == ("done", 1)
    assert told.open == ("door 0: EINVAL", "door 1: EINVAL")
    assert len((await told_of(tmp_path / "more", WideOpen)).open) == SHOWN_LIMIT


async def test_a_box_that_could_not_be_looked_at_is_told_with_the_reason(tmp_path: Path) -> None:
    told = await told_of(tmp_path, Broken)
    assert (told.state, told.reason) == ("failed", "it broke off")


async def test_an_engine_that_is_away_is_a_reason_too(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    fleet.engine.fail = {"create"}
    looked = Looked(fleet)
    assert (await looked.told())["runc"] == ProbeTold("failed", reason="create fails")
    (event,) = looked.audit.events
    assert (event.kind, event.succeeded) == ("box_probed", False)
    assert event.details == {"runtime": "runc", "reason": "create fails"}
    assert looked.tally.told == []


class OpenUnderRunsc(Looking):
    async def probe(self, request: ProbeRequest) -> ProbeReport:
        self.doors = 1 if request.runtime == "runsc" else 0
        return await super().probe(request)


async def test_a_box_of_each_runtime_is_looked_at_one_after_the_other(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live", agents=ScriptedAgents(OpenUnderRunsc))
    looked = Looked(fleet, runtimes=("runc", "runsc"))
    with capture_logs() as logged:
        told = await looked.told()
    assert {runtime: one.open for runtime, one in told.items()} == {
        "runc": (),
        "runsc": ("door 0: EINVAL",),
    }
    assert looked.tally.told == [("runc", 1, 0), ("runsc", 1, 1)]
    assert [(event.succeeded, event.details["runtime"]) for event in looked.audit.events] == [
        (True, "runc"),
        (False, "runsc"),
    ]
    lines = [one for one in logged if one["event"] == "probe_done"]
    assert [(one["runtime"], one["open"], one["took_s"]) for one in lines] == [
        ("runc", 0, 0.5),
        ("runsc", 1, 0.5),
    ]


async def test_one_runtime_that_fails_keeps_no_other_from_being_looked_at(tmp_path: Path) -> None:
    class BrokenUnderRunc(Looking):
        async def probe(self, request: ProbeRequest) -> ProbeReport:
            self.doors = -1 if request.runtime == "runc" else 0
            return await super().probe(request)

    fleet = Fleet(tmp_path / "live", agents=ScriptedAgents(BrokenUnderRunc))
    told = await Looked(fleet, runtimes=("runc", "runsc")).told()
    assert {runtime: one.state for runtime, one in told.items()} == {
        "runc": "failed",
        "runsc": "done",
    }
    assert (summed(told).state, summed(told).reason) == ("failed", "runc: it broke off")


async def test_while_one_is_looked_at_the_others_wait(tmp_path: Path) -> None:
    seen: list[dict[Runtime, str]] = []
    boxes: list[list[str]] = []

    class Watching(Looking):
        async def probe(self, request: ProbeRequest) -> ProbeReport:
            containers = fleet.engine.containers.values()
            boxes.append([config["HostConfig"]["Runtime"] for config in containers])
            seen.append({runtime: one.state for runtime, one in probe.told.items()})
            assert summed(probe.told).state == "running"
            return await super().probe(request)

    fleet = Fleet(tmp_path / "live", agents=ScriptedAgents(Watching))
    probe = Looked(fleet, runtimes=("runc", "runsc")).probe()
    await probe.run()
    assert seen == [{"runc": "running", "runsc": "running"}, {"runc": "done", "runsc": "running"}]
    assert boxes == [["runc"], ["runsc"]]


@pytest.mark.parametrize(
    ("states", "together"),
    [
        ((), "done"),
        (("off", "off"), "off"),
        (("done", "done"), "done"),
        (("done", "running"), "running"),
        (("failed", "running"), "failed"),
    ],
)
def test_what_is_known_of_all_together(states: tuple[State, ...], together: State) -> None:
    runtimes: tuple[Runtime, ...] = ("runc", "runsc")
    told = {runtime: ProbeTold(state) for runtime, state in zip(runtimes, states, strict=False)}
    assert summed(told) == ProbeTold(together)


async def test_the_request_reaches_the_box(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "live")
    fleet.engine.owner_uid, fleet.engine.owner_gid = 166_536, 266_536
    asked: list[ProbeRequest] = []

    class Asked(ScriptedAgent):
        async def probe(self, request: ProbeRequest) -> ProbeReport:
            asked.append(request)
            return await super().probe(request)

    fleet.agents = ScriptedAgents(Asked)
    await look_at_a_box(fleet.lifecycle(), runtime="runsc", outside=OUTSIDE, thorough=True)
    assert asked == [
        ProbeRequest(
            runtime="runsc",
            owner_uid=166_536,
            owner_gid=266_536,
            namespaces={"ipc": 7},
            open_files=LIMITS.open_files,
            file_limit_bytes=LIMITS.file_limit_bytes,
            apparmor="p (enforce)",
            thorough=True,
        )
    ]
