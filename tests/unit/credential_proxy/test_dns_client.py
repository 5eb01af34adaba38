import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.name_server import ADDRESS, NOTHING, NameServer, Reply, running_name_server

from hakoiri.credential_proxy.dns_cache import Answer
from hakoiri.credential_proxy.dns_client import DnsClient
from hakoiri.credential_proxy.errors import ResolutionError
from hakoiri.credential_proxy.hosts_file import HostsFile

pytestmark = pytest.mark.anyio
NAME = "api.example.test"
SOA = "example.test. 900 IN SOA ns.example.test. root.example.test. 1 2 3 4 {minimum}"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    async with running_name_server() as running:
        yield running


def client_of(server: NameServer, directory: Path, hosts: str = "") -> DnsClient:
    table = directory / "hosts"
    table.write_text(hosts)
    resolv_conf = directory / "resolv.conf"
    resolv_conf.write_text("nameserver 192.0.2.53\nsearch corp.example.test\noptions ndots:5\n")
    client = DnsClient(
        hosts=HostsFile(table), resolv_conf=resolv_conf, try_timeout_s=0.2, timeout_s=0.5
    )
    client.configure([(ADDRESS, server.port)])
    return client


@pytest.fixture
def client(server: NameServer, tmp_path: Path) -> DnsClient:
    return client_of(server, tmp_path)


@pytest.mark.parametrize("ttl_s", [0, 1, 300, 2**31 - 1])
async def test_both_families_come_with_their_time(
    server: NameServer, client: DnsClient, ttl_s: int
) -> None:
    server.say(NAME, ttl_s=ttl_s, A=["192.0.2.1", "192.0.2.2"], AAAA=["2001:db8::1"])
    answer = await client.look_up(NAME)
    assert sorted(answer.addresses) == ["192.0.2.1", "192.0.2.2", "2001:db8::1"]
    assert answer.addresses[-1] == "2001:db8::1"
    assert answer.ttl_s == ttl_s


async def test_a_time_with_the_highest_bit_set_is_none(
    server: NameServer, client: DnsClient
) -> None:
    server.say(NAME, ttl_s=2**31, A=["192.0.2.1"])
    assert await client.look_up(NAME) == Answer(("192.0.2.1",), 0)


async def test_one_family_is_enough_and_its_time_counts(
    server: NameServer, client: DnsClient
) -> None:
    server.say(NAME, ttl_s=77, AAAA=["2001:db8::1"])
    assert await client.look_up(NAME) == Answer(("2001:db8::1",), 77)


async def test_aliases_are_followed_and_the_shortest_time_counts(
    server: NameServer, client: DnsClient
) -> None:
    server.say_all(NAME, NOTHING)
    server.replies[NAME, "A"] = Reply(
        (
            f"{NAME}. 50 IN CNAME edge.example.net.",
            "edge.example.net. 7 IN CNAME last.example.org.",
            "last.example.org. 90 IN A 192.0.2.1",
            "stranger.example.org. 90 IN A 192.0.2.66",
        )
    )
    assert await client.look_up(NAME) == Answer(("192.0.2.1",), 7)


async def test_aliases_in_a_circle_are_no_answer(server: NameServer, client: DnsClient) -> None:
    circle = (f"{NAME}. 50 IN CNAME b.test.", f"b.test. 50 IN CNAME {NAME}.")
    server.say_all(NAME, Reply(circle))
    with pytest.raises(ResolutionError):
        await client.look_up(NAME)


@pytest.mark.parametrize(("minimum", "ttl_s"), [(30, 30), (1200, 900)])
@pytest.mark.parametrize("rcode", ["NXDOMAIN", "NOERROR"])
async def test_a_missing_name_holds_for_the_time_of_its_zone(
    server: NameServer, client: DnsClient, rcode: str, minimum: int, ttl_s: int
) -> None:
    server.say_all(NAME, Reply(authority=(SOA.format(minimum=minimum),), rcode=rcode))
    assert await client.look_up(NAME) == Answer((), ttl_s)


async def test_what_udp_cuts_short_is_asked_over_tcp(server: NameServer, client: DnsClient) -> None:
    many = [f"198.51.100.{number}" for number in range(1, 200)]
    server.say(NAME, A=many)
    server.replies[NAME, "A"].is_cut = True
    answer = await client.look_up(NAME)
    assert sorted(answer.addresses) == sorted(many)
    assert (NAME, "A", "udp") in server.asked
    assert (NAME, "A", "tcp") in server.asked


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "FORMERR"])
async def test_a_name_server_that_fails_tells_nothing(
    server: NameServer, client: DnsClient, rcode: str
) -> None:
    server.say_all(NAME, Reply(rcode=rcode))
    with pytest.raises(ResolutionError, match="did not tell"):
        await client.look_up(NAME)


async def test_a_name_server_that_is_silent_tells_nothing(
    server: NameServer, client: DnsClient
) -> None:
    server.say_all(NAME, Reply(is_silent=True))
    with pytest.raises(ResolutionError, match="did not tell"):
        await client.look_up(NAME)
    assert len(server.asked) >= 2


async def test_a_family_that_nobody_tells_of_leaves_the_other_for_a_short_time(
    server: NameServer, client: DnsClient
) -> None:
    server.say(NAME, ttl_s=300, A=["192.0.2.1"])
    server.replies[NAME, "AAAA"] = Reply(rcode="SERVFAIL")
    assert await client.look_up(NAME) == Answer(("192.0.2.1",), 0)
    server.say(NAME)
    server.replies[NAME, "AAAA"] = Reply(rcode="SERVFAIL")
    with pytest.raises(ResolutionError):
        await client.look_up(NAME)


async def test_the_next_name_server_is_asked(
    server: NameServer, client: DnsClient, tmp_path: Path
) -> None:
    server.say(NAME, A=["192.0.2.1"])
    async with running_name_server() as broken:
        broken.say_all(NAME, Reply(rcode="SERVFAIL"))
        client.configure([(ADDRESS, broken.port), (ADDRESS, server.port)])
        assert (await client.look_up(NAME)).addresses == ("192.0.2.1",)
        assert broken.asked


@pytest.mark.parametrize("name", [NAME, "intranet"])
async def test_no_search_domain_is_ever_appended(
    server: NameServer, client: DnsClient, name: str
) -> None:
    server.say(f"{name}.corp.example.test", A=["192.0.2.66"])
    answer = await client.look_up(name)
    assert answer.addresses == ()
    assert {asked for asked, _, _ in server.asked} == {name}


async def test_the_systems_table_goes_before_dns(server: NameServer, tmp_path: Path) -> None:
    client = client_of(server, tmp_path, f"192.0.2.7 {NAME}\n2001:db8::7 {NAME}\n")
    server.say(NAME, A=["192.0.2.66"])
    assert await client.look_up(NAME) == Answer(("192.0.2.7", "2001:db8::7"), 0)
    assert server.asked == []


async def test_without_name_servers_of_its_own_resolv_conf_is_used(tmp_path: Path) -> None:
    hosts = HostsFile(tmp_path / "absent")
    client = DnsClient(hosts=hosts, resolv_conf=tmp_path / "resolv.conf")
    with pytest.raises(ResolutionError, match=r"cannot be asked for: .*resolv\.conf"):
        await client.look_up(NAME)
    resolver = tmp_path / "resolv.conf"
    resolver.write_text("nameserver 192.0.2.53\n")
    assert [str(server) for server in client._resolver().nameservers] == ["192.0.2.53"]
    os.truncate(resolver, 0)
    with pytest.raises(ResolutionError):
        await client.look_up(NAME)
