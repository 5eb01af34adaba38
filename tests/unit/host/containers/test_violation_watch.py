from collections.abc import AsyncGenerator

import pytest
import structlog

from hakoiri.audit.testing import MemoryAudit
from hakoiri.host.containers.ports import EngineContainer, EngineError
from hakoiri.host.containers.testing import MemoryEngine
from hakoiri.host.containers.violation_watch import (
    ContainerOwners,
    ViolationAudit,
    ViolationCount,
    ViolationLog,
    watch_violations,
)
from hakoiri.host.containers.violations import REPORTS_A_MINUTE, Violation

pytestmark = pytest.mark.anyio

MOUNT = Violation(pid=7, call=165, architecture="c000003e")
BPF = Violation(pid=8, call=321, architecture="c000003e")


class Told:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def report(self, violation: Violation, *, workspace_id: str) -> None:
        self.seen.append((workspace_id, violation.call_name))


class Kernel:
    def __init__(self, *seen: tuple[Violation, str | None]) -> None:
        self._seen = seen

    async def violations(self) -> AsyncGenerator[tuple[Violation, str | None], None]:
        for one in self._seen:
            yield one


class Engine(MemoryEngine):
    """Knows two containers, one of which no workspace is live in."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.is_away = False

    async def list_ours(self, instance: str) -> list[EngineContainer]:
        self.asked += 1
        if self.is_away:
            raise EngineError("away")
        names = {"e1": "c1", "e2": "c2"}
        return [EngineContainer(engine_id, ours, running=True) for engine_id, ours in names.items()]


async def test_the_engine_is_asked_once_for_what_it_has_named_and_may_be_away() -> None:
    engine = Engine()
    owners = ContainerOwners(engine=engine, instance="i1", workspace_in={"c1": "w1"}.get)
    engine.is_away = True
    assert await owners.owner("e1") is None
    engine.is_away = False
    assert [await owners.owner(one) for one in ("e1", "e2", "e1")] == ["w1", None, "w1"]
    assert engine.asked == 2


async def test_each_is_told_to_all_by_its_workspace_or_as_unknown() -> None:
    first, second = Told(), Told()
    kernel = Kernel((MOUNT, "e1"), (BPF, "not ours"), (BPF, None))
    owners = ContainerOwners(engine=Engine(), instance="i1", workspace_in={"c1": "w1"}.get)
    await watch_violations(kernel, owners=owners, sinks=[first, second])
    assert first.seen == [("w1", "mount"), ("unknown", "bpf"), ("unknown", "bpf")]
    assert second.seen == first.seen


async def test_a_source_that_fails_ends_the_watch_and_nothing_else() -> None:
    class Broken(Kernel):
        async def violations(self) -> AsyncGenerator[tuple[Violation, str | None], None]:
            yield MOUNT, None
            raise OSError(5, "Input/output error")

    told = Told()
    owners = ContainerOwners(engine=Engine(), instance="i1", workspace_in=lambda _: None)
    with structlog.testing.capture_logs() as lines:
        await watch_violations(Broken(), owners=owners, sinks=[told])
    assert told.seen == [("unknown", "mount")]
    assert [line["event"] for line in lines] == ["violations_unwatched"]


def test_the_count_has_each() -> None:
    counted: list[str] = []
    into = ViolationCount(counted.append)
    for _ in range(REPORTS_A_MINUTE + 5):
        into.report(MOUNT, workspace_id="w1")
    assert counted == ["w1"] * (REPORTS_A_MINUTE + 5)


def test_the_log_is_bounded_and_says_how_many_it_held_back() -> None:
    now_s = 0.0
    into = ViolationLog(clock=lambda: now_s)
    with structlog.testing.capture_logs() as lines:
        for _ in range(REPORTS_A_MINUTE + 30):
            into.report(MOUNT, workspace_id="w1")
        now_s = 61.0
        into.report(BPF, workspace_id="w2")
    assert len(lines) == REPORTS_A_MINUTE + 1
    assert lines[0] == {
        "event": "seccomp_violation",
        "log_level": "warning",
        "workspace_id": "w1",
        "call": "mount",
        "pid": 7,
        "held_back": 0,
    }
    assert (lines[-1]["call"], lines[-1]["held_back"]) == ("bpf", 30)


def test_violations_are_audited_within_the_bound_and_held_back_ones_are_counted() -> None:
    audit, now_s = MemoryAudit(), 0.0
    into = ViolationAudit(audit, clock=lambda: now_s)
    for _ in range(REPORTS_A_MINUTE + 5):
        into.report(MOUNT, workspace_id="w1")
    assert len(audit.events) == REPORTS_A_MINUTE
    assert audit.events[0].workspace == "w1"
    assert audit.events[0].details == {"call": "mount", "pid": 7, "held_back": 0}
    now_s = 61.0
    into.report(BPF, workspace_id="w1")
    assert audit.events[-1].details["held_back"] == 5
