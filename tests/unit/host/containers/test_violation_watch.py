from collections.abc import AsyncGenerator

import pytest
import structlog

from hakoiri.host.containers.violation_watch import ViolationLog, watch_violations
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


async def test_each_is_told_to_all_by_its_workspace_or_as_unknown() -> None:
    first, second = Told(), Told()
    kernel = Kernel((MOUNT, "e1"), (BPF, "not ours"), (BPF, None))
    await watch_violations(kernel, whose={"e1": "w1"}.get, sinks=[first, second])
    assert first.seen == [("w1", "mount"), ("unknown", "bpf"), ("unknown", "bpf")]
    assert second.seen == first.seen


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
