import pytest
from anyio.lowlevel import checkpoint
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from hakoiri.audit.testing import MemoryAudit
from hakoiri.host.containers.ports import EngineError
from hakoiri.host.containers.testing import MemoryEngine
from hakoiri.host.conversations.ports import StoreError
from hakoiri.host.readiness import Check, Readiness, answers, audit_check, engine_check
from hakoiri.host.telemetry.health_metrics import HealthMetrics

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
    assert await readiness.reasons() == ["no engine", "locked"]
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
        await readiness.reasons()


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
