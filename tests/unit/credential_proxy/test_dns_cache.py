import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.configuration import Network
from hakoiri.credential_proxy.dns_cache import (
    ADDRESSES_LIMIT,
    ENTRIES_LIMIT,
    FAILURE_KEPT_S,
    Answer,
    CacheFigures,
    CheckedResolver,
    DnsCache,
    TtlBounds,
)
from hakoiri.credential_proxy.errors import AddressRefusedError, ResolutionError

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class World:
    """A resolver and a clock that a test sets."""

    def __init__(self, *answers: str, ttl_s: float = 60.0) -> None:
        self.answers = list(answers)
        self.ttl_s = ttl_s
        self.asked: list[str] = []
        self.now_s = 0.0
        self.is_broken = False
        self.held: asyncio.Event | None = None

    async def lookup(self, host: str) -> Answer:
        self.asked.append(host)
        if self.held is not None:
            await self.held.wait()
        if self.is_broken:
            raise ResolutionError("nobody tells")
        return Answer(tuple(self.answers), self.ttl_s)

    def cache(self) -> DnsCache:
        return DnsCache(lookup=self.lookup, clock_s=lambda: self.now_s)

    def resolver(self, **network: object) -> CheckedResolver:
        resolver = CheckedResolver(cache=self.cache())
        resolver.configure(Network.model_validate(network))
        return resolver


@given(
    ttl_s=st.integers(0, 2**32),
    least_s=st.integers(0, 60),
    more_s=st.integers(0, 60),
    is_negative=st.booleans(),
)
def test_the_time_of_an_answer_is_its_own_within_bounds(
    ttl_s: int, least_s: int, more_s: int, *, is_negative: bool
) -> None:
    most_s = least_s + more_s
    bounds = TtlBounds(
        at_least_s=least_s,
        at_most_s=10**9 if is_negative else most_s,
        negative_at_most_s=most_s if is_negative else 10**9,
    )
    kept_s = bounds.of(Answer(() if is_negative else ("8.8.8.8",), ttl_s))
    assert least_s <= kept_s <= most_s
    assert kept_s == ttl_s or kept_s in (least_s, most_s)


@pytest.mark.parametrize(("ttl_s", "kept_s"), [(0, 5), (1, 5), (60, 60), (2**31, 300)])
async def test_an_answer_is_kept_for_its_time_and_then_asked_again(
    ttl_s: float, kept_s: float
) -> None:
    world = World("8.8.8.8", "8.8.8.8", "1.1.1.1", ttl_s=ttl_s)
    cache = world.cache()
    for now_s in (0, kept_s - 0.1):
        world.now_s = now_s
        assert await cache.resolve("a.test") == ("8.8.8.8", "1.1.1.1")
    assert world.asked == ["a.test"]
    world.now_s = kept_s
    await cache.resolve("a.test")
    assert world.asked == ["a.test"] * 2


@pytest.mark.parametrize(("ttl_s", "kept_s"), [(0, 5), (30, 30), (86400, 60)])
async def test_a_missing_name_is_kept_within_bounds_of_its_own(ttl_s: float, kept_s: float) -> None:
    world = World(ttl_s=ttl_s)
    cache = world.cache()
    for now_s in (0, kept_s - 0.1):
        world.now_s = now_s
        with pytest.raises(ResolutionError, match="no address"):
            await cache.resolve("a.test")
    assert len(world.asked) == 1
    world.now_s, world.answers = kept_s, ["8.8.8.8"]
    assert await cache.resolve("a.test") == ("8.8.8.8",)


async def test_that_nobody_could_tell_is_kept_for_a_moment() -> None:
    world = World("8.8.8.8")
    world.is_broken = True
    cache = world.cache()
    for _ in range(2):
        with pytest.raises(ResolutionError, match="nobody tells"):
            await cache.resolve("a.test")
    assert len(world.asked) == 1
    world.now_s, world.is_broken = FAILURE_KEPT_S, False
    assert await cache.resolve("a.test") == ("8.8.8.8",)


async def test_the_bounds_are_the_files() -> None:
    world = World("8.8.8.8", ttl_s=50)
    resolver = world.resolver(dns_ttl_min_s=1, dns_ttl_max_s=10, dns_negative_ttl_max_s=2)
    await resolver.addresses(Authority("a.test", 443))
    world.now_s = 10.0
    await resolver.addresses(Authority("a.test", 443))
    assert len(world.asked) == 2


async def test_other_name_servers_are_asked_for_everything_anew() -> None:
    world = World("8.8.8.8")
    resolver = world.resolver()
    await resolver.addresses(Authority("a.test", 443))
    resolver.configure(Network(dns_ttl_max_s=100))
    await resolver.addresses(Authority("a.test", 443))
    assert len(world.asked) == 1
    resolver.configure(Network(nameservers=["127.0.0.1:5353"]))
    await resolver.addresses(Authority("a.test", 443))
    assert len(world.asked) == 2


async def test_what_the_old_name_servers_still_answer_is_not_kept() -> None:
    world = World("8.8.8.8")
    old = world.held = asyncio.Event()
    cache = world.cache()
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(cache.resolve("a.test"))
        await asyncio.sleep(0)
        cache.forget()
        world.held = None
        world.answers = ["1.1.1.1"]
        assert await cache.resolve("a.test") == ("1.1.1.1",), "asks by itself"
        world.answers = ["8.8.8.8"]
        old.set()
    assert asking.result() == ("8.8.8.8",)
    assert await cache.resolve("a.test") == ("1.1.1.1",)


@pytest.mark.parametrize("least_s", [0, 5])
async def test_a_crowd_shares_one_question_even_when_nothing_is_kept(least_s: int) -> None:
    world = World("8.8.8.8", ttl_s=0)
    world.held = asyncio.Event()
    cache = world.cache()
    cache.configure(TtlBounds(at_least_s=least_s))
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(cache.resolve("a.test")) for _ in range(100)]
        await asyncio.sleep(0)
        world.held.set()
    assert [task.result() for task in asking] == [("8.8.8.8",)] * 100
    assert world.asked == ["a.test"]
    assert cache.figures == CacheFigures(misses=1, shared=99, found=1)


async def test_what_became_of_questions_is_counted() -> None:
    world = World("8.8.8.8")
    cache = world.cache()
    for _ in range(3):
        await cache.resolve("a.test")
    world.answers = []
    for _ in range(3):
        with pytest.raises(ResolutionError):
            await cache.resolve("b.test")
    world.is_broken = True
    with pytest.raises(ResolutionError):
        await cache.resolve("c.test")
    assert cache.figures == CacheFigures(
        hits=2, negative_hits=2, misses=3, found=1, missing=1, failures=1
    )
    assert len(cache) == 3


async def test_one_who_gives_up_does_not_take_the_others_along() -> None:
    world = World("8.8.8.8")
    world.held = asyncio.Event()
    cache = world.cache()
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(cache.resolve("a.test"))
        second = tasks.create_task(cache.resolve("a.test"))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        world.held.set()
    assert first.cancelled()
    assert second.result() == ("8.8.8.8",)


async def test_the_cache_is_bounded() -> None:
    world = World("8.8.8.8")
    cache = world.cache()
    for number in range(ENTRIES_LIMIT + 1):
        await cache.resolve(f"{number}.test")
    await cache.resolve(f"{ENTRIES_LIMIT}.test")
    assert len(world.asked) == ENTRIES_LIMIT + 1
    await cache.resolve("0.test")
    assert len(world.asked) == ENTRIES_LIMIT + 2


async def test_a_long_answer_is_cut() -> None:
    world = World(*[f"8.8.8.{number}" for number in range(200)])
    assert len(await world.cache().resolve("a.test")) == ADDRESSES_LIMIT


async def test_only_checked_addresses_come_out() -> None:
    world = World("8.8.8.8")
    assert await world.resolver().addresses(Authority("a.test", 443)) == ("8.8.8.8",)
    for answers in (["10.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:8.8.8.8"], ["fe80::1%1"]):
        with pytest.raises(AddressRefusedError):
            await World(*answers).resolver().addresses(Authority("a.test", 443))


async def test_static_names_and_literals_are_not_asked_of_dns_but_are_checked() -> None:
    world = World("8.8.8.8")
    resolver = world.resolver(hosts={"files.test": "127.0.0.1"}, allow_addresses=["127.0.0.1:9999"])
    for host in ("files.test", "127.0.0.1"):
        assert await resolver.addresses(Authority(host, 9999)) == ("127.0.0.1",)
        with pytest.raises(AddressRefusedError):
            await resolver.addresses(Authority(host, 9998))
    assert world.asked == []


async def test_a_cached_answer_is_checked_again_when_the_file_changes() -> None:
    world = World("10.0.0.1")
    resolver = world.resolver(allow_addresses=["10.0.0.1:443"])
    assert await resolver.addresses(Authority("a.test", 443)) == ("10.0.0.1",)
    resolver.configure(Network())
    with pytest.raises(AddressRefusedError):
        await resolver.addresses(Authority("a.test", 443))
    assert world.asked == ["a.test"]


async def test_an_address_of_this_machine_is_refused_unless_it_is_excepted() -> None:
    resolver = CheckedResolver(cache=World("8.8.8.8").cache(), is_own=lambda a: a == "8.8.8.8")
    with pytest.raises(AddressRefusedError, match="own"):
        await resolver.addresses(Authority("a.test", 443))
    resolver.configure(Network.model_validate({"allow_addresses": ["8.8.8.8:443"]}))
    assert await resolver.addresses(Authority("a.test", 443)) == ("8.8.8.8",)
    with pytest.raises(AddressRefusedError, match="own"):
        await resolver.addresses(Authority("a.test", 80))
