import asyncio
from contextlib import suppress
from typing import get_args

import pytest
from anyio import create_task_group, move_on_after, wait_all_tasks_blocked
from anyio.lowlevel import checkpoint
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from hakoiri.audit.testing import MemoryAudit
from hakoiri.host.containers.ports import EngineError
from hakoiri.host.containers.testing import MemoryEngine
from hakoiri.host.conversations.ports import StoreError
from hakoiri.host.coordination.in_process import InProcessCoordination, InProcessHub
from hakoiri.host.readiness import (
    Check,
    Readiness,
    answers,
    audit_check,
    coordination_check,
    engine_check,
)
from hakoiri.host.telemetry.conditions import MENDS, PartAnswer
from hakoiri.host.telemetry.health_metrics import HealthMetrics, Part

pytestmark = pytest.mark.anyio


def raising(error: Exception) -> Check:
    async def check() -> list[str]:
        await checkpoint()
        raise error

    return check


async def fine() -> list[str]:
    return []


async def test_each_part_gives_its_reasons_and_its_figure() -> None:
    registry = CollectorRegistry()
    readiness = Readiness(
        checks={
            "engine": raising(EngineError("no engine")),
            "database": raising(StoreError("locked")),
            "proxy": fine,
        },
        metrics=HealthMetrics(registry),
        clock=lambda: 0.0,
    )
    assert await readiness.answers() == [
        PartAnswer("engine", ("no engine",)),
        PartAnswer("database", ("locked",)),
        PartAnswer("proxy"),
    ]
    page = generate_latest(registry).decode()
    assert 'hakoiri_part_up{part="engine"} 0.0' in page
    assert 'hakoiri_part_up{part="proxy"} 1.0' in page


async def test_a_fault_of_ours_is_no_reason_but_an_error() -> None:
    readiness = Readiness(
        checks={"proxy": raising(ZeroDivisionError())},
        metrics=HealthMetrics(CollectorRegistry()),
        clock=lambda: 0.0,
    )
    with pytest.raises(ZeroDivisionError):
        await readiness.answers()


class Hanging:
    """A part that gives no answer until it is let go, and cannot be ended before."""

    def __init__(self) -> None:
        self.asked = 0
        self.let_go = asyncio.Event()

    async def check(self) -> list[str]:
        self.asked += 1
        while not self.let_go.is_set():
            with suppress(asyncio.CancelledError):  # as a thread that is stuck in the kernel
                await self.let_go.wait()
        return []


async def test_a_part_that_hangs_keeps_nobody_waiting_and_is_asked_only_once() -> None:
    now_s, part, registry = [0.0], Hanging(), CollectorRegistry()
    readiness = Readiness(
        checks={"objects": part.check, "proxy": fine},
        metrics=HealthMetrics(registry),
        clock=lambda: now_s[0],
        limit_s=0,
    )
    with move_on_after(20) as patience:
        for since_s in (0.0, 7.0, 31.0):
            now_s[0] = since_s
            hangs, serves = await readiness.answers()
            assert hangs.reasons == (f"the objects gave no answer for {since_s:.0f} s",)
            assert hangs.mend == MENDS["objects"]
            assert serves == PartAnswer("proxy")
    assert not patience.cancelled_caught
    assert part.asked == 1
    assert registry.get_sample_value("hakoiri_part_up", {"part": "objects"}) == 0
    assert registry.get_sample_value("hakoiri_part_check_seconds", {"part": "objects"}) == 31
    part.let_go.set()
    await wait_all_tasks_blocked()
    assert await readiness.answers() == [PartAnswer("objects"), PartAnswer("proxy")]
    assert part.asked == 2


async def test_who_goes_away_ends_no_look_that_others_wait_for() -> None:
    part = Hanging()
    readiness = Readiness(
        checks={"objects": part.check},
        metrics=HealthMetrics(CollectorRegistry()),
        clock=lambda: 0.0,
        limit_s=60,
    )
    told: list[list[PartAnswer]] = []

    async def ask() -> None:
        told.append(await readiness.answers())

    async with create_task_group() as others:
        others.start_soon(ask)
        async with create_task_group() as leaving:
            leaving.start_soon(readiness.answers)
            await wait_all_tasks_blocked()
            leaving.cancel_scope.cancel()
        assert part.asked == 1
        part.let_go.set()
    assert told == [[PartAnswer("objects")]]


async def test_each_part_has_a_mend() -> None:
    assert set(MENDS) == set(get_args(Part))
    assert PartAnswer("proxy").mend == ""


async def test_it_is_asked_again_and_again() -> None:
    slept: list[float] = []

    class EnoughError(Exception):
        pass

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise EnoughError

    registry = CollectorRegistry()
    readiness = Readiness(
        checks={"proxy": fine}, metrics=HealthMetrics(registry), clock=lambda: 0.0, sleep=sleep
    )
    with pytest.raises(EnoughError):
        await readiness.run()
    assert len(slept) == 3


async def test_the_parts_own_checks() -> None:
    engine = MemoryEngine()
    assert await engine_check(engine, runtimes=("runc",))() == []
    engine.fail = {"check"}
    assert len(await engine_check(engine, runtimes=("runc", "runsc"))()) == 2
    audit = MemoryAudit()
    assert await audit_check(audit)() == []
    audit.failure = "the disk is full"
    assert await audit_check(audit)() == ["the disk is full"]

    async def gone() -> None:
        raise StoreError("gone")

    with pytest.raises(StoreError):
        await answers(gone)()


async def test_redis_is_told_by_its_own_words() -> None:
    coordination = InProcessCoordination(InProcessHub(), "a", limit=1)
    assert await coordination_check(coordination)() == []
    coordination.failure = lambda: "Redis is away"  # type: ignore[method-assign]
    assert await coordination_check(coordination)() == ["Redis is away"]
