import asyncio

import pytest

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.configuration import Network
from hakoiri.credential_proxy.dns_cache import (
    ENTRIES_LIMIT,
    NEGATIVE_TTL_S,
    POSITIVE_TTL_S,
    CheckedResolver,
    DnsCache,
)
from hakoiri.credential_proxy.errors import AddressRefusedError, ResolutionError

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class World:
    """A resolver and a clock that a test sets."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.now_s = 0.0
        self.held: asyncio.Event | None = None

    async def lookup(self, host: str) -> list[str]:
        self.asked.append(host)
        if self.held is not None:
            await self.held.wait()
        if not self.answers:
            raise OSError("no such name")
        return self.answers

    def cache(self) -> DnsCache:
        return DnsCache(lookup=self.lookup, clock_s=lambda: self.now_s)

    def resolver(self, **network: object) -> CheckedResolver:
        resolver = CheckedResolver(cache=self.cache())
        resolver.configure(Network.model_validate(network))
        return resolver


async def test_an_answer_is_kept_for_its_time_and_then_asked_again() -> None:
    world = World("8.8.8.8", "8.8.8.8", "1.1.1.1")
    cache = world.cache()
    for _ in range(2):
        assert await cache.resolve("a.test") == ("8.8.8.8", "1.1.1.1")
    assert world.asked == ["a.test"]
    world.now_s = POSITIVE_TTL_S
    await cache.resolve("a.test")
    assert world.asked == ["a.test"] * 2


async def test_a_missing_name_is_kept_for_a_shorter_time() -> None:
    world = World()
    cache = world.cache()
    for _ in range(2):
        with pytest.raises(ResolutionError):
            await cache.resolve("a.test")
    assert len(world.asked) == 1
    world.now_s, world.answers = NEGATIVE_TTL_S, ["8.8.8.8"]
    assert await cache.resolve("a.test") == ("8.8.8.8",)


async def test_callers_at_once_share_one_question() -> None:
    world = World("8.8.8.8")
    world.held = asyncio.Event()
    cache = world.cache()
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(cache.resolve("a.test")) for _ in range(5)]
        await asyncio.sleep(0)
        world.held.set()
    assert [task.result() for task in asking] == [("8.8.8.8",)] * 5
    assert world.asked == ["a.test"]


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
