from collections.abc import Mapping

import pytest

from hakoiri.audit.shipping.status import ShipStatus, TargetStatus
from hakoiri.host.containers.box_probe import ProbeTold, Told
from hakoiri.host.containers.capacity import Level
from hakoiri.host.containers.confinement import Confinement, ConfinementState
from hakoiri.host.degradations import SHIPPER_SILENT_S, Degradations
from hakoiri.host.telemetry.conditions import Degradation
from hakoiri.wire.messages import Runtime
from hakoiri.wire.pool import PoolRuntimeReport

CONFINED = Confinement(ConfinementState.CONFINED, "p", "the engine applies it")
BARE = Confinement(ConfinementState.DEGRADED, None, "the kernel has no AppArmor", "boot another")
NOW_S = 1000.0
OPEN = ProbeTold("done", 9, ("system call bpf",))
FAILED = ProbeTold("failed", reason="no agent")
TARGETS = [
    TargetStatus(name="siem", kind="syslog", error="no route"),
    TargetStatus(name="share", kind="file"),
]


def report(state: str) -> Mapping[Runtime, PoolRuntimeReport]:
    return {
        "runc": PoolRuntimeReport.model_validate(
            {"state": state, "reason": "why", "ready": 0, "starting": 0, "retiring": 0, "target": 1}
        )
    }


def looked_at(
    *,
    confinement: Confinement = CONFINED,
    probe: Told | None = None,
    pool: str = "refilling",
    memory: Level = Level.CALM,
    redis: str | None = None,
    is_tracing_failing: bool = False,
) -> Degradations:
    return Degradations(
        confinement=confinement,
        probe=lambda: probe or {"runc": ProbeTold("done", refused=9)},
        pool=lambda: report(pool),
        memory=lambda: memory,
        redis=lambda: redis,
        is_tracing_failing=lambda: is_tracing_failing,
        wall_s=lambda: NOW_S,
    )


def test_all_is_well() -> None:
    assert looked_at().found() == []


@pytest.mark.parametrize(
    ("what", "reason", "given"),
    [
        ("apparmor", "no AppArmor", looked_at(confinement=BARE)),
        ("probe", "system call bpf", looked_at(probe={"runc": OPEN})),
        ("probe", "no agent", looked_at(probe={"runc": FAILED})),
        ("pool", "runc can be started: why", looked_at(pool="failing")),
        ("memory", "no warm container", looked_at(memory=Level.HOLD)),
        ("memory", "are removed", looked_at(memory=Level.DRAIN)),
        ("memory", "wait", looked_at(memory=Level.WAIT)),
        ("coordination", "Redis is away; this server goes on", looked_at(redis="Redis is away")),
        ("tracing", "they are lost", looked_at(is_tracing_failing=True)),
    ],
)
def test_what_is_degraded_is_named_with_its_mend(
    what: str, reason: str, given: Degradations
) -> None:
    (found,) = given.found()
    assert found.what == what
    assert reason in found.reason
    assert found.mend


def test_each_runtime_whose_boxes_lack_something_is_named() -> None:
    told: Told = {"runc": OPEN, "runsc": FAILED}
    first, second = looked_at(probe=told).found()
    assert first.reason == "a box of runc can do what it should not: system call bpf"
    assert second.reason == "no box of runsc could be looked at: no agent"
    assert "--runtime runsc" in second.mend


def shipping(status: ShipStatus | None) -> list[Degradation]:
    return Degradations(
        confinement=CONFINED,
        probe=dict,
        pool=dict,
        memory=lambda: Level.CALM,
        shipping=lambda: status,
        wall_s=lambda: NOW_S,
    ).found()


def test_a_copy_of_the_audit_log_that_does_not_get_on_is_named() -> None:
    (found,) = shipping(ShipStatus(told_at=NOW_S - 1, targets=TARGETS))
    assert found.reason == "the audit log is not copied to siem: no route"


@pytest.mark.parametrize(
    "status", [None, ShipStatus(told_at=NOW_S - SHIPPER_SILENT_S - 1, targets=TARGETS)]
)
def test_a_shipper_that_is_silent_is_named(status: ShipStatus | None) -> None:
    (found,) = shipping(status)
    assert "tells nothing" in found.reason
