"""What every store of the pool's setting keeps, whatever is behind it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.full_disk import small_disk
from tests.integration.host.coordination.arenas import RedisArena
from tests.integration.host.coordination.pool_places import OwnFile, PoolPlace, SharedRedis
from tests.redis_server import RedisServer

from hakoiri.host.containers.ports import PoolStore, PoolStoreError
from hakoiri.wire.pool import PoolConfiguration, PoolSize

pytestmark = [pytest.mark.anyio, pytest.mark.root]


def setting(size: int) -> PoolConfiguration:
    return PoolConfiguration(
        runtimes={"runc": PoolSize(min=size, target=size, max=size)},
        max_age_s=3600,
        refills_at_once=1,
        preconnect=False,
    )


@pytest.fixture(params=["own file", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PoolPlace]:
    if request.param == "redis":
        redis: RedisServer = request.getfixturevalue("redis")
        yield SharedRedis(RedisArena(redis), tmp_path)
        return
    with small_disk(tmp_path / "disk") as disk:
        yield OwnFile(disk)


async def test_nothing_is_kept_at_first(place: PoolPlace) -> None:
    async with place.server() as store:
        assert await store.load() is None
        await store.clear()
        assert await store.load() is None


async def test_what_is_kept_counts_for_the_next_server_too(place: PoolPlace) -> None:
    async with place.server() as store:
        await store.save(setting(3))
        assert await store.load() == setting(3)
        await store.save(setting(5))
    async with place.server() as next_one:
        assert await next_one.load() == setting(5)


async def test_what_is_cleared_does_not_come_back(place: PoolPlace) -> None:
    async with place.server() as store:
        await store.save(setting(3))
        await store.clear()
        await store.clear()
        assert await store.load() is None
    async with place.server() as next_one:
        assert await next_one.load() is None


async def test_of_many_at_once_one_counts_and_it_is_whole(place: PoolPlace) -> None:
    kept: list[PoolConfiguration] = []
    async with place.server() as store:

        async def save(size: int) -> None:
            try:
                await store.save(setting(size))
            except PoolStoreError:
                return
            kept.append(setting(size))

        await asyncio.gather(*(save(10**number) for number in range(4) for _ in range(3)))
        assert await store.load() in kept
    async with place.server() as next_one:
        assert await next_one.load() in kept


async def test_it_outlives_a_restart_of_what_keeps_it(place: PoolPlace) -> None:
    async with place.server() as store:
        await store.save(setting(3))
        await place.restart()
        assert await store.load() == setting(3)
        await store.save(setting(4))
        await place.restart()
    async with place.server() as next_one:
        assert await next_one.load() == setting(4)


async def is_refused(store: PoolStore) -> None:
    with pytest.raises(PoolStoreError):
        await store.save(setting(4))
    with pytest.raises(PoolStoreError):
        await store.clear()


async def test_while_it_is_away_it_is_read_and_not_set(place: PoolPlace) -> None:
    async with place.server() as store:
        await store.save(setting(3))
        await place.take_away()
        try:
            assert await store.load() == setting(3)
            await is_refused(store)
            assert await store.load() == setting(3)
        finally:
            await place.bring_back()
        assert await store.load() == setting(3), "what was refused does not count afterwards"
        await store.save(setting(5))
        assert await store.load() == setting(5)


async def test_what_is_no_setting_is_told_with_its_place(place: PoolPlace) -> None:
    async with place.server() as store:
        place.spoil()
        with pytest.raises(PoolStoreError, match=place.name):
            await store.load()
