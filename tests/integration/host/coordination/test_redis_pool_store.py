"""The warm pool's setting for several servers, through a real Redis."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.integration.host.coordination.arenas import RedisArena
from tests.redis_server import RedisServer

from hakoiri.host.adapters.pool_file import PoolFile
from hakoiri.host.adapters.redis.coordination import RedisCoordination
from hakoiri.host.adapters.redis.pool_store import COPY_NAME, RedisPoolStore
from hakoiri.host.containers.ports import PoolStoreError
from hakoiri.wire.pool import PoolConfiguration, PoolSize

pytestmark = pytest.mark.anyio


def setting(size: int) -> PoolConfiguration:
    return PoolConfiguration(
        runtimes={"runc": PoolSize(min=size, target=size, max=size)},
        max_age_s=3600,
        refills_at_once=1,
        preconnect=False,
    )


@dataclass
class Stores:
    """The stores of servers, each with a directory of its own."""

    root: Path
    told: list[str] = field(default_factory=list)

    def of(self, server: RedisCoordination, name: str) -> RedisPoolStore:
        directory = self.root / name
        directory.mkdir(exist_ok=True)
        return RedisPoolStore(
            server.link,
            namespace="hakoiri",
            directory=directory,
            own=PoolFile(directory),
            changed=lambda: self.told.append(name),
        )


async def test_what_one_sets_counts_for_all(redis: RedisServer, tmp_path: Path) -> None:
    arena, stores = RedisArena(redis), Stores(tmp_path)
    async with arena.server("a") as a, arena.server("b") as b:
        of_a, of_b = stores.of(a, "a"), stores.of(b, "b")
        assert await of_a.load() is None
        await of_a.save(setting(3))
        assert await of_b.load() == setting(3)
        await of_b.save(setting(5))
        assert await of_a.load() == setting(5)
        await of_a.clear()
        assert await of_b.load() is None
        assert stores.told == ["a", "b", "a"]


async def test_it_outlives_a_redis_that_forgets(redis: RedisServer, tmp_path: Path) -> None:
    arena, stores = RedisArena(redis), Stores(tmp_path)
    async with arena.server("a") as a, arena.server("b") as b:
        of_a, of_b = stores.of(a, "a"), stores.of(b, "b")
        await of_a.save(setting(3))
        await of_b.load()
        await of_a.save(setting(5))
        redis.restart()
        await a.renew()
        await b.renew()
        assert await of_b.load() == setting(3)  # what it knew
        assert await of_a.load() == setting(5)  # who knows better tells
        assert await of_b.load() == setting(5)


async def test_while_redis_is_away_it_is_read_and_not_set(
    redis: RedisServer, tmp_path: Path
) -> None:
    arena, stores = RedisArena(redis), Stores(tmp_path)
    async with arena.server("a") as a:
        of_a = stores.of(a, "a")
        await of_a.save(setting(3))
        redis.kill()
        await a.renew()
        assert await of_a.load() == setting(3)
        with pytest.raises(PoolStoreError, match="cannot be told"):
            await of_a.save(setting(4))
        with pytest.raises(PoolStoreError):
            await of_a.clear()
        assert await of_a.load() == setting(3)
        assert stores.told == ["a"]


async def test_of_two_at_once_the_second_is_told(redis: RedisServer, tmp_path: Path) -> None:
    arena, stores = RedisArena(redis), Stores(tmp_path)
    async with arena.server("a") as a, arena.server("b") as b:
        of_a, of_b = stores.of(a, "a"), stores.of(b, "b")
        exchange = of_a._exchange
        calls = 0

        async def with_another_between(ours: object) -> object:
            nonlocal calls
            calls += 1
            if calls == 2:
                await of_b.save(setting(7))
            return await exchange(ours)  # type: ignore[arg-type]

        of_a._exchange = with_another_between  # type: ignore[method-assign, assignment]
        with pytest.raises(PoolStoreError, match="somebody else"):
            await of_a.save(setting(3))
        assert await of_b.load() == setting(7)


async def test_what_a_server_set_for_itself_before_is_taken_along(
    redis: RedisServer, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    await PoolFile(tmp_path / "a").save(setting(2))
    arena, stores = RedisArena(redis), Stores(tmp_path)
    async with arena.server("a") as a, arena.server("b") as b:
        assert await stores.of(a, "a").load() == setting(2)
        assert await stores.of(b, "b").load() == setting(2)


async def test_a_copy_that_cannot_be_read_counts_not(redis: RedisServer, tmp_path: Path) -> None:
    arena, stores = RedisArena(redis), Stores(tmp_path)
    async with arena.server("a") as a:
        store = stores.of(a, "a")
        (tmp_path / "a" / COPY_NAME).write_text("no setting")
        assert await store.load() is None
        await store.save(setting(3))
        assert await store.load() == setting(3)
