import pytest
from tests.unit.host.api.served import Served
from tests.unit.host.containers.fleet import pool_of

from hakoiri.host.containers.box_probe import ProbeTold
from hakoiri.host.containers.confinement import Confinement, ConfinementState
from hakoiri.host.telemetry.conditions import MENDS, Degradation

pytestmark = pytest.mark.anyio

NO_TIME = {"took_s": 0, "processor_s": 0}


async def test_readiness_is_503_with_reasons_until_a_turn_can_start() -> None:
    served = Served()
    async with served.client() as client:
        off = {"state": "off", "refused": 0, "open": [], "reason": "", **NO_TIME}
        confined = {
            "state": "confined",
            "profile": "workspace-container",
            "reason": "the engine applies it",
        }
        up = {"up": True, "reasons": [], "mend": ""}
        ready = {
            "ready": True,
            "reasons": [],
            "parts": {"engine": up, "proxy": up},
            "degraded": [],
            "probe": {**off, "runtimes": {"runc": off}},
            "apparmor": confined,
        }
        told = (await client.get("/ready")).json()
        assert {runtime: pool["state"] for runtime, pool in told.pop("pool").items()} == {
            "runc": "off",
            "runsc": "off",
        }
        assert told == ready
        served.reasons = ["the engine is away", "x" * 5000]
        not_ready = await client.get("/ready")
        assert not_ready.status_code == 503
        assert not_ready.json()["reasons"] == ["the engine is away", "x" * 500]
        parts = not_ready.json()["parts"]
        assert parts["proxy"] == up
        assert parts["engine"] == {
            "up": False,
            "reasons": ["the engine is away", "x" * 500],
            "mend": MENDS["engine"],
        }
        assert (await client.get("/health")).json() == {"status": "ok"}


async def test_what_works_less_well_is_told_with_its_mend_and_decides_nothing() -> None:
    served = Served()
    served.degraded = [Degradation("tracing", "y" * 600, "look at the collector")]
    async with served.client() as client:
        ready = await client.get("/ready")
    assert ready.status_code == 200
    assert ready.json()["degraded"] == [
        {"what": "tracing", "reason": "y" * 500, "mend": "look at the collector"}
    ]


async def test_a_host_without_apparmor_is_told_and_decides_nothing() -> None:
    reason = "the kernel has no AppArmor"
    served = Served(confinement=Confinement(ConfinementState.DEGRADED, None, reason, "boot one"))
    async with served.client() as client:
        ready = await client.get("/ready")
    assert ready.status_code == 200
    assert ready.json()["apparmor"] == {"state": "degraded", "profile": None, "reason": reason}


async def test_what_the_probe_found_is_told_of_each_runtime_and_decides_nothing() -> None:
    served = Served()
    served.probe_told = {
        "runc": ProbeTold("done", refused=230, took_s=0.91239, processor_s=0.5),
        "runsc": ProbeTold("done", 220, ("system call bpf: EINVAL",), took_s=1, processor_s=0.7),
    }
    async with served.client() as client:
        ready = await client.get("/ready")
    assert ready.status_code == 200
    assert ready.json()["probe"] == {
        "state": "done",
        "refused": 450,
        "open": ["runsc: system call bpf: EINVAL"],
        "reason": "",
        "took_s": 1.912,
        "processor_s": 1.2,
        "runtimes": {
            "runc": {
                "state": "done",
                "refused": 230,
                "open": [],
                "reason": "",
                "took_s": 0.912,
                "processor_s": 0.5,
            },
            "runsc": {
                "state": "done",
                "refused": 220,
                "open": ["system call bpf: EINVAL"],
                "reason": "",
                "took_s": 1,
                "processor_s": 0.7,
            },
        },
    }


async def test_a_pool_that_is_being_filled_is_told_and_keeps_nobody_waiting() -> None:
    served = Served()
    async with served.client() as client:
        await served.pool.replace(pool_of(1, 2, 2))
        ready = await client.get("/ready")
    assert ready.status_code == 200
    assert ready.json()["pool"]["runc"] == {
        "state": "refilling",
        "reason": "0 of 2 are ready",
        "ready": 0,
        "starting": 0,
        "retiring": 0,
        "target": 2,
    }
