"""A Redis that is stopped, killed, emptied: leases, tokens and news after it."""

import asyncio
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from tests.integration.host.coordination.arenas import LEASE_S, TIMEOUT_S, RedisArena, holds
from tests.redis_server import PASSWORD, RedisServer, redis_server

from hakoiri.host.adapters.redis.coordination import RedisCoordination
from hakoiri.host.adapters.redis.leases import RedisLease
from hakoiri.host.adapters.redis.link import RedisLink, open_client
from hakoiri.host.coordination.ports import (
    CoordinationAwayError,
    CoordinationError,
    News,
    Topic,
)
from hakoiri.host.telemetry.coordination_metrics import CoordinationMetrics

pytestmark = pytest.mark.anyio

NAME = "turn:c-1"
SHORT_S = 0.5


@pytest.fixture(params=["memory", "durable"])
def any_redis(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    directory = tmp_path_factory.mktemp("redis")
    with redis_server(directory, is_durable=request.param == "durable") as server:
        yield server


async def back(server: RedisCoordination) -> None:
    """Wait until the server has found Redis again."""
    async with asyncio.timeout(60):
        await server.link.until_up()


async def test_who_holds_a_lease_holds_it_after_a_restart(any_redis: RedisServer) -> None:
    arena = RedisArena(any_redis)
    async with arena.server("a") as a, arena.server("b") as b:
        lease = await a.leases.acquire(NAME)
        assert lease is not None
        before = lease.token
        any_redis.restart()
        assert await a.renew()
        assert holds(lease)
        assert lease.token >= before
        await b.renew()
        assert await b.leases.acquire(NAME) is None


async def test_tokens_grow_when_redis_forgot_them(redis: RedisServer) -> None:
    arena = RedisArena(redis)
    async with arena.server("a") as a, arena.server("b") as b:
        # far ahead of the clock, as if Redis' clock had been set back since
        with redis.client() as client:
            client.set("hakoiri:token", 2**52)
        lease = await a.leases.acquire(NAME)
        assert lease is not None
        assert lease.token == 2**52 + 1
        await lease.release()
        redis.restart()
        await a.renew()
        await b.renew()
        again = await a.leases.acquire(NAME)
        assert again is not None
        assert again.token > lease.token
        other = await b.leases.acquire("turn:c-2")
        assert other is not None
        assert other.token > again.token


async def test_a_redis_that_forgot_all_gives_leases_that_prove_nothing_yet(
    redis: RedisServer,
) -> None:
    arena = RedisArena(redis)
    async with arena.server("a") as a, arena.server("b") as b:
        arena.clock.now_s += LEASE_S
        held = await a.leases.acquire(NAME)
        assert held is not None
        assert held.is_sole
        redis.restart()
        await b.renew()
        lease = await b.leases.acquire(NAME)  # before the holder renewed
        assert lease is not None
        assert not lease.is_sole
        await a.renew()
        assert not holds(held)
        await lease.release()
        await a.renew()
        assert holds(held)
        assert held.token > lease.token
        assert await b.leases.acquire(NAME) is None


@pytest.mark.parametrize("how", ["restart", "flushall"])
async def test_it_proves_something_when_every_holder_had_the_time_to_renew(
    redis: RedisServer, how: str
) -> None:
    arena = RedisArena(redis)
    async with arena.server("b") as b:
        arena.clock.now_s += LEASE_S
        if how == "restart":
            redis.restart()
        else:
            with redis.client() as client:
                client.flushall()
        await b.renew()
        for waited_s, is_sole in ((0.0, False), (LEASE_S - 1, False), (1.0, True)):
            arena.clock.now_s += waited_s
            lease = await b.leases.acquire(NAME)
            assert lease is not None
            assert lease.is_sole is is_sole
            await lease.release()


async def test_a_grant_that_was_not_heard_of_proves_nothing(redis_arena: RedisArena) -> None:
    async with redis_arena.server("a") as a:
        with redis_arena.redis.client() as client:  # a call that was given up, and read after all
            key = f"{redis_arena.namespace}:lease:{NAME}"
            client.set(key, f"a {a.leases._start} 5", px=60_000)
        lease = await a.leases.acquire(NAME)
        assert lease is not None
        assert lease.token > 5
        assert not lease.is_sole


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_nothing_new_is_given_while_redis_is_away_and_no_time_is_lost_on_it(
    redis: RedisServer, how: str
) -> None:
    arena = RedisArena(redis)
    async with arena.server("a") as a:
        held = await a.leases.acquire(NAME)
        assert held is not None
        redis.stop() if how == "stopped" else redis.kill()
        a.link.timeout_s = SHORT_S
        with pytest.raises(CoordinationAwayError):
            async with asyncio.timeout(TIMEOUT_S):
                await a.leases.acquire("turn:c-2")
        a.link.timeout_s = TIMEOUT_S
        assert a.failure() is not None
        redis_calls = a.link.client
        a.link.client = None  # type: ignore[assignment]  # nobody is asked any more
        with pytest.raises(CoordinationAwayError):
            await a.leases.acquire("turn:c-3")
        a.link.client = redis_calls
        assert holds(held)  # what is held is held
        redis.go_on() if how == "stopped" else redis.start()
        await back(a)
        assert a.failure() is None
        assert await a.leases.acquire("turn:c-2") is not None


async def test_a_lease_runs_out_by_our_own_clock(redis_arena: RedisArena) -> None:
    async with redis_arena.server("a") as a:
        lease = await a.leases.acquire(NAME)
        assert lease is not None
        redis_arena.clock.now_s += LEASE_S - 1
        assert holds(lease)
        redis_arena.clock.now_s += 1
        assert not holds(lease)  # though Redis, whose clock is not ours, has it still
        await a.renew()
        assert holds(lease)


async def test_who_lost_a_lease_unaware_gives_back_nobody_elses(redis_arena: RedisArena) -> None:
    async with redis_arena.server("a") as a, redis_arena.server("b") as b:
        lost = await a.leases.acquire(NAME)
        assert lost is not None
        await redis_arena.run_out()
        lease = await b.leases.acquire(NAME)
        assert lease is not None
        await lost.release()
        assert await a.leases.acquire(NAME) is None
        assert await b.renew()
        assert holds(lease)


async def test_alone_by_choice_leases_are_given_on_our_word_and_confirmed_after(
    redis: RedisServer,
) -> None:
    arena = RedisArena(redis, when_away="local")
    async with arena.server("a") as a, arena.server("b") as b:
        redis.kill()
        lease = await a.leases.acquire(NAME)
        assert lease is not None
        assert holds(lease)
        assert lease.is_sole
        assert await a.leases.acquire(NAME) is None  # not twice in one server
        redis.start()
        await back(a)
        await back(b)
        await a.renew()
        assert holds(lease)
        assert await b.leases.acquire(NAME) is None
        with redis.client() as client:
            assert str(client.get(f"hakoiri:lease:{NAME}")).endswith(f" {lease.token}")


async def test_a_lease_on_our_word_that_another_got_meanwhile_is_lost(redis: RedisServer) -> None:
    arena = RedisArena(redis, when_away="local")
    async with arena.server("a") as a:
        redis.kill()
        lease = await a.leases.acquire(NAME)
        assert lease is not None
        redis.start()
        with redis.client() as client:
            client.set(f"hakoiri:lease:{NAME}", "b start 5", px=60_000)
        await a.renew()
        assert not holds(lease)


async def test_what_was_given_back_during_a_renewal_stays_given_back(
    redis_arena: RedisArena, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with redis_arena.server("a") as a, redis_arena.server("b") as b:
        lease = await a.leases.acquire(NAME)
        assert lease is not None
        renewed = a.leases._renewed

        async def slow(client: Redis, leases: list[RedisLease]) -> list[str]:
            await lease.release()
            return await renewed(client, leases)

        monkeypatch.setattr(a.leases, "_renewed", slow)
        assert await a.renew()
        assert await b.leases.acquire(NAME) is not None


async def test_it_is_told_once_that_redis_is_away_and_once_that_it_is_back(
    redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    arena = RedisArena(redis)
    async with arena.server("a") as a:
        redis.kill()
        for _ in range(5):
            assert not await a.renew()
        redis.start()
        await back(a)
        told = capsys.readouterr().out
    assert told.count("coordination_away") == 1
    assert told.count("coordination_back") == 1
    assert PASSWORD not in told


async def test_figures_tell_whether_redis_answers(redis: RedisServer) -> None:
    arena = RedisArena(redis)
    async with arena.server("a") as a:
        value = arena.registry.get_sample_value
        assert value("hakoiri_coordination_up") == 1
        redis.kill()
        await a.renew()
        assert value("hakoiri_coordination_up") == 0
        assert (value("hakoiri_coordination_errors_total") or 0) >= 1


async def test_a_server_opens_without_redis_and_finds_it_later(redis: RedisServer) -> None:
    redis.kill()
    async with RedisArena(redis).unheard("a") as a:
        assert a.failure() is not None
        redis.start()
        await back(a)
        assert await a.leases.acquire(NAME) is not None


async def test_a_wrong_password_is_told_without_it(redis: RedisServer) -> None:
    client = open_client(
        redis.url, username=None, password="planted-wrong-secret", timeout_s=TIMEOUT_S
    )
    link = RedisLink(client, timeout_s=TIMEOUT_S, metrics=CoordinationMetrics(CollectorRegistry()))
    try:
        with pytest.raises(CoordinationAwayError) as refused:
            await link.attempt(lambda asked: asked.ping())
    finally:
        await link.close()
    assert "password" in str(refused.value)
    assert "planted-wrong-secret" not in str(refused.value)


async def test_who_was_cut_off_is_told_to_look_at_all(redis: RedisServer) -> None:
    arena = RedisArena(redis)
    async with (
        arena.server("a") as a,
        arena.server("b") as b,
        b.fanout.listen() as news,
        asyncio.timeout(60),
    ):
        a.fanout.announce(Topic.EVENTS, "c-1")
        assert (await anext(news)).subjects == frozenset({"c-1"})
        redis.restart()
        seen = {(one := await anext(news)).topic: one.subjects}
        while len(seen) < len(Topic):
            one = await anext(news)
            seen[one.topic] = one.subjects
        assert set(seen.values()) == {None}


async def test_what_is_announced_while_redis_is_away_is_heard_after(redis: RedisServer) -> None:
    arena = RedisArena(redis)
    async with (
        arena.server("a") as a,
        arena.server("b") as b,
        b.fanout.listen() as news,
        asyncio.timeout(60),
    ):
        redis.kill()
        assert not await a.renew()
        a.fanout.announce(Topic.EVENTS, "c-1")
        redis.start()
        while True:
            one = await anext(news)
            if one == News(Topic.EVENTS, frozenset({"c-1"})) or one == News(Topic.EVENTS, None):
                break


async def test_slow_answers_are_not_waited_for(redis: RedisServer) -> None:
    arena = RedisArena(redis)
    async with arena.server("a") as a:
        redis.stop()
        a.link.timeout_s = SHORT_S
        async with asyncio.timeout(TIMEOUT_S):
            assert not await a.renew()
        a.link.timeout_s = TIMEOUT_S
        redis.go_on()
        await back(a)


async def test_what_is_not_ours_in_redis_ends_nothing(redis_arena: RedisArena) -> None:
    async with redis_arena.server("a") as a:
        with redis_arena.redis.client() as client:
            client.rpush(f"{redis_arena.namespace}:lease:{NAME}", "a list")
        with pytest.raises(CoordinationAwayError):
            await a.leases.acquire(NAME)
        assert await a.renew()
        assert await a.leases.acquire("turn:c-2") is not None


@pytest.mark.parametrize("name", ["", "x" * 201])
async def test_names_are_bounded(redis_arena: RedisArena, name: str) -> None:
    async with redis_arena.server("a") as a:
        with pytest.raises(CoordinationError):
            await a.leases.acquire(name)
