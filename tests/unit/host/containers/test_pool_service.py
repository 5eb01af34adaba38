from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.unit.host.containers.fleet import Fleet, pool_of

from hakoiri.audit.testing import MemoryAudit
from hakoiri.audit.writer import AuditLog
from hakoiri.host.containers.pool_service import PoolRefusedError, PoolService
from hakoiri.host.containers.ports import PoolStoreError
from hakoiri.host.containers.testing import MemoryPoolStore
from hakoiri.wire.pool import PoolConfiguration, PoolSize

pytestmark = pytest.mark.anyio

SETTINGS = pool_of(1, 2, 3)


def service_of(
    store: MemoryPoolStore, *, shapes: tuple[str, ...] = (), audit: AuditLog | None = None
) -> PoolService:
    keeper = Fleet(Path("/nonexistent"), pool=SETTINGS).keeper()
    if shapes:
        keeper._shapes = {name: keeper._shapes[name] for name in keeper._shapes if name in shapes}
    return PoolService(keeper=keeper, store=store, from_settings=SETTINGS, audit=audit)


async def test_what_was_set_outlives_the_server_until_it_is_reset() -> None:
    store = MemoryPoolStore()
    service = service_of(store)
    await service.load()
    assert (service.report().source, service.report().configuration) == ("settings", SETTINGS)
    told = await service.replace(pool_of(0, 1, 1))
    assert (told.source, told.configuration) == ("stored", pool_of(0, 1, 1))
    successor = service_of(store)
    await successor.load()
    assert successor.report() == told
    reset = await successor.reset()
    assert (reset.source, reset.configuration, store.kept) == ("settings", SETTINGS, None)


async def test_what_cannot_be_kept_is_not_put_in_force() -> None:
    service = service_of(MemoryPoolStore(fails=True))
    with pytest.raises(PoolStoreError):
        await service.replace(pool_of(0, 0, 0))
    assert service.report().configuration == SETTINGS


async def test_a_setting_that_cannot_be_read_is_told_and_the_servers_own_counts() -> None:
    with capture_logs() as lines:
        service = service_of(MemoryPoolStore(fails=True))
        await service.load()
    assert [line["event"] for line in lines] == ["warm_pool_setting_ignored"]
    assert service.report().source == "settings"


async def test_a_runtime_that_the_server_does_not_run_is_refused_by_name() -> None:
    gvisor = PoolConfiguration(
        runtimes={"runsc": PoolSize(min=0, target=1, max=1)},
        max_age_s=100,
        refills_at_once=1,
        preconnect=False,
    )
    with pytest.raises(PoolRefusedError, match=r"runtimes\.runsc.*HAKOIRI_CONTAINER__RUNTIMES"):
        await service_of(MemoryPoolStore(), shapes=("runc",)).replace(gvisor)
    kept_before = service_of(MemoryPoolStore(kept=gvisor), shapes=("runc",))
    await kept_before.load()
    assert kept_before.report().source == "settings"


async def test_who_sets_the_pool_leaves_a_line_in_the_audit_log() -> None:
    audit = MemoryAudit()
    service = service_of(MemoryPoolStore(), audit=audit)
    await service.load()
    await service.replace(pool_of(0, 1, 1))
    await service.reset()
    assert audit.kinds() == ["pool_changed", "pool_changed"]
    assert audit.events[0].details == {
        "name": "warm pool",
        "source": "stored",
        "runc_min": 0,
        "runc_target": 1,
        "runc_max": 1,
    }
    assert audit.events[1].details["source"] == "settings"
