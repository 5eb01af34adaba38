"""What every adapter keeps, whatever is behind it."""

import asyncio

import anyio
import pytest
from tests.integration.host.coordination.arenas import Arena, holds

from hakoiri.host.coordination.ports import Lease, Leases, News, Topic

pytestmark = pytest.mark.anyio

NAME = "turn:c-1"


async def taken(leases: Leases, name: str = NAME) -> Lease:
    lease = await leases.acquire(name)
    assert lease is not None
    return lease


async def test_one_server_has_a_lease_and_no_other_until_it_is_given_back(arena: Arena) -> None:
    async with arena.server("a") as a, arena.server("b") as b:
        first = await taken(a.leases)
        assert holds(first)
        assert first.name == NAME
        assert await b.leases.acquire(NAME) is None
        await first.release()
        assert not holds(first)
        second = await taken(b.leases)
        assert second.token > first.token
        assert await a.leases.acquire(NAME) is None


async def test_a_server_does_not_get_twice_what_it_has(arena: Arena) -> None:
    async with arena.server("a") as a:
        lease = await taken(a.leases)
        assert await a.leases.acquire(NAME) is None
        await lease.release()
        assert (await taken(a.leases)).token > lease.token


async def test_of_many_that_ask_at_once_one_gets_it(arena: Arena) -> None:
    given = []
    async with arena.server("a") as a, arena.server("b") as b:

        async def ask(leases: Leases) -> None:
            if (lease := await leases.acquire(NAME)) is not None:
                given.append(lease)

        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(ask, (a if number % 2 else b).leases)
        assert len(given) == 1
        assert holds(given[0])


async def test_other_names_are_other_leases(arena: Arena) -> None:
    async with arena.server("a") as a, arena.server("b") as b:
        await taken(a.leases, "turn:c-1")
        await taken(b.leases, "turn:c-2")


async def test_a_server_that_is_started_anew_gets_at_once_what_it_had(arena: Arena) -> None:
    async with arena.server("a") as ended:
        earlier = await taken(ended.leases)
    async with arena.server("b") as b, arena.server("a") as a:
        assert await b.leases.acquire(NAME) is None
        lease = await taken(a.leases)
        assert lease.token > earlier.token
        assert lease.is_sole  # nobody else can have had it
        assert await b.leases.acquire(NAME) is None


async def test_others_get_it_when_it_has_run_out(arena: Arena) -> None:
    async with arena.server("a") as ended:
        earlier = await taken(ended.leases)
    async with arena.server("b") as b:
        assert await b.leases.acquire(NAME) is None
        await arena.run_out()
        lease = await taken(b.leases)
        assert lease.token > earlier.token
        assert not holds(earlier)


async def test_who_lost_a_lease_cannot_give_back_its_successors(arena: Arena) -> None:
    async with arena.server("b") as b, arena.server("c") as c:
        async with arena.server("a") as ended:
            late = await taken(ended.leases)
        await arena.run_out()
        lease = await taken(b.leases)
        await late.release()
        assert await c.leases.acquire(NAME) is None
        assert holds(lease)


async def test_news_reach_the_others_and_do_not_come_back(arena: Arena) -> None:
    async with (
        arena.server("a") as a,
        arena.server("b") as b,
        arena.server("c") as c,
        a.fanout.listen() as for_a,
        b.fanout.listen() as for_b,
        c.fanout.listen() as for_c,
        asyncio.timeout(60),
    ):
        a.fanout.announce(Topic.EVENTS, "c-1")
        assert await anext(for_b) == News(Topic.EVENTS, frozenset({"c-1"}))
        assert await anext(for_c) == News(Topic.EVENTS, frozenset({"c-1"}))
        b.fanout.announce(Topic.POOL)
        assert await anext(for_a) == News(Topic.POOL, frozenset({""}))


async def test_a_reader_that_is_slow_is_told_to_look_at_all(arena: Arena) -> None:
    async with (
        arena.server("a") as a,
        arena.server("b", limit=8) as b,
        b.fanout.listen() as news,
        asyncio.timeout(60),
    ):
        for number in range(100):
            a.fanout.announce(Topic.EVENTS, f"c-{number}")
            await asyncio.sleep(0)
        while (heard := await anext(news)).subjects is not None:
            assert len(heard.subjects) <= 8
        assert heard == News(Topic.EVENTS, None)


async def test_a_subject_that_is_told_often_is_heard_at_least_once_after_the_last(
    arena: Arena,
) -> None:
    async with (
        arena.server("a") as a,
        arena.server("b") as b,
        b.fanout.listen() as news,
        asyncio.timeout(60),
    ):
        for _ in range(1000):
            a.fanout.announce(Topic.EVENTS, "c-1")
        a.fanout.announce(Topic.CLOSED, "c-1")
        heard = [await anext(news)]
        while heard[-1].topic is not Topic.CLOSED:
            heard.append(await anext(news))
        assert heard[0] == News(Topic.EVENTS, frozenset({"c-1"}))
        assert len(heard) < 20
