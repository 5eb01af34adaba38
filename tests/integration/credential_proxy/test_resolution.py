import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web
from tests.name_server import ADDRESS, NameServer, Reply, running_name_server

from hakoiri.credential_proxy.dns_client import DnsClient
from hakoiri.credential_proxy.hosts_file import HostsFile

from .conftest import Proxy, Upstream, absolute, converse, host_policy, statuses
from .wiring import Wired, wire

pytestmark = pytest.mark.anyio
HOST = "api.example.test"
SELF_SIGNED = Path(__file__).with_name("self_signed.pem")


async def test_a_denied_host_is_never_resolved_and_an_allowed_one_is(
    wired: Wired, upstream: Upstream
) -> None:
    port = upstream.port
    wired.answers = [["127.0.0.1"]]
    socket = await wired.open(HOST, port=port)
    denied = [
        absolute("GET", f"http://denied.example.test:{port}/"),
        absolute("GET", f"http://{HOST}:22/"),
        b"CONNECT denied.example.test:443 HTTP/1.1\r\nHost: denied.example.test:443\r\n\r\n",
    ]
    for request in denied:
        assert statuses(await converse(socket, request)) == [403]
    assert wired.asked == []
    assert statuses(await converse(socket, absolute("GET", f"http://{HOST}:{port}/"))) == [200]
    assert wired.asked == [HOST]


@pytest.mark.parametrize(
    "answer", [["10.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"]]
)
@pytest.mark.parametrize("method", ["GET", "CONNECT"])
async def test_a_name_that_leads_inside_is_refused(
    wired: Wired, answer: list[str], method: str
) -> None:
    wired.answers = [answer]
    socket = await wired.open(HOST, port=443)
    target = f"{HOST}:443"
    request = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()
    if method == "GET":
        request = absolute("GET", f"http://{target}/")
    refused = await converse(socket, request)
    assert statuses(refused) == [403]
    assert b"address-refused" in refused


@pytest.mark.parametrize("method", ["GET", "CONNECT"])
async def test_an_address_that_a_rule_names_is_still_not_dialled_without_an_exception(
    wired: Wired, upstream: Upstream, method: str
) -> None:
    socket = await wired.open("127.0.0.1", "127.0.0.2", port=upstream.port)
    for address, status in (("127.0.0.1", 200), ("127.0.0.2", 403)):
        target = f"{address}:{upstream.port}"
        request = absolute("GET", f"http://{target}/")
        if method == "CONNECT":
            tunnelled = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            request = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode() + tunnelled
        assert statuses(await converse(socket, request))[0] == status
    assert wired.asked == []


async def test_a_name_that_changes_between_check_and_dial_is_not_followed(
    wired: Wired, upstream: Upstream, now_s: list[float]
) -> None:
    port = upstream.port
    wired.answers = [["127.0.0.1"], ["10.0.0.1"]]
    socket = await wired.open(HOST, port=port)
    request = absolute("GET", f"http://{HOST}:{port}/")
    assert statuses(await converse(socket, request)) == [200]
    assert statuses(await converse(socket, request)) == [200]
    assert wired.asked == [HOST]
    now_s[0] = 31.0
    assert statuses(await converse(socket, request)) == [403]


async def test_a_name_without_address_is_a_bad_gateway(wired: Wired) -> None:
    wired.answers = [[]]
    socket = await wired.open(HOST, port=80)
    answer = await converse(socket, absolute("GET", f"http://{HOST}/"))
    assert statuses(answer) == [502]
    assert b"host-not-found" in answer


async def test_a_certificate_nobody_vouches_for_gets_no_credential(
    tmp_path: Path, now_s: list[float]
) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(SELF_SIGNED)
    seen: list[str] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request.method)
        return web.Response()

    loop = asyncio.get_running_loop()
    server = web.Server(handle, access_log=None)
    listening = await loop.create_server(server, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    text = f"""
[credentials.anthropic]
kind = "header"
header = "x-api-key"
value_env = "KEY"
hosts = ["api.anthropic.com"]
endpoint = "https://files.example.test:{port}"
[network]
allow_addresses = ["127.0.0.1:{port}"]
[network.hosts]
"files.example.test" = "127.0.0.1"
"""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(listening.wait_closed)
        stack.push_async_callback(server.shutdown, 1)
        stack.callback(listening.close)
        wired = wire(stack, tmp_path, text, now_s)
        route = {"provider": "anthropic", "credential": "anthropic"}
        socket = await wired.open(port=443, model=route)
        answer = await converse(
            socket, b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
    assert statuses(answer) == [502]
    assert b"upstream-certificate" in answer
    assert seen == []


@pytest.fixture
async def name_server() -> AsyncIterator[NameServer]:
    async with running_name_server() as running:
        yield running


@pytest.fixture
def asking(wired: Wired, name_server: NameServer, tmp_path: Path) -> Wired:
    """The wired proxy, whose questions go to the name server of the test."""
    client = DnsClient(hosts=HostsFile(tmp_path / "no-hosts"), try_timeout_s=0.5, timeout_s=1)
    client.configure([(ADDRESS, name_server.port)])
    wired.ask = client.look_up
    return wired


async def fetch(socket: Path, port: int) -> bytes:
    return await converse(socket, absolute("GET", f"http://{HOST}:{port}/"))


@pytest.mark.parametrize(
    "inside",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.2",
        "169.254.169.254",
        "169.254.170.2",
        "198.18.0.1",
        "224.0.0.1",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "fd00:ec2::254",
        "fe80::1",
        "ff02::1",
    ],
)
@pytest.mark.parametrize("is_mixed", [False, True])
async def test_no_answer_of_a_name_server_leads_inside(
    asking: Wired, upstream: Upstream, name_server: NameServer, inside: str, *, is_mixed: bool
) -> None:
    kind = "AAAA" if ":" in inside else "A"
    name_server.say(HOST, A=["127.0.0.1"] if is_mixed else [])  # that one may be dialled
    answer = (*name_server.replies[HOST, kind].answer, f"{HOST}. 60 IN {kind} {inside}")
    name_server.replies[HOST, kind] = Reply(answer)
    socket = await asking.open(HOST, port=upstream.port)
    refused = await fetch(socket, upstream.port)
    assert statuses(refused) == [403]
    assert b"address-refused" in refused
    assert upstream.requests == []


@pytest.mark.parametrize(("end", "status"), [("10.0.0.1", 403), ("127.0.0.1", 200)])
async def test_the_end_of_aliases_is_what_is_checked(
    asking: Wired, upstream: Upstream, name_server: NameServer, end: str, status: int
) -> None:
    name_server.say(HOST)
    name_server.replies[HOST, "A"] = Reply(
        (f"{HOST}. 9 IN CNAME b.example.test.", f"b.example.test. 9 IN A {end}")
    )
    socket = await asking.open(HOST, port=upstream.port)
    assert statuses(await fetch(socket, upstream.port)) == [status]


async def test_an_answer_that_holds_for_no_time_is_kept_at_least_so_long_that_it_cannot_spin(
    asking: Wired, upstream: Upstream, name_server: NameServer, now_s: list[float]
) -> None:
    name_server.say(HOST, ttl_s=0, A=["127.0.0.1"])
    socket = await asking.open(HOST, port=upstream.port)
    assert statuses(await fetch(socket, upstream.port)) == [200]
    name_server.say(HOST, ttl_s=0, A=["10.0.0.1"])
    now_s[0] = 4.9
    assert statuses(await fetch(socket, upstream.port)) == [200]
    now_s[0] = 5.0
    assert statuses(await fetch(socket, upstream.port)) == [403]
    assert len(name_server.asked) == 4


async def test_many_requests_at_once_are_one_question(
    asking: Wired, upstream: Upstream, name_server: NameServer
) -> None:
    name_server.say(HOST, A=["127.0.0.1"])
    socket = await asking.open(HOST, port=upstream.port)
    answers = await asyncio.gather(*[fetch(socket, upstream.port) for _ in range(60)])
    assert [statuses(answer) for answer in answers] == [[200]] * 60
    assert sorted(name_server.asked) == [(HOST, "A", "udp"), (HOST, "AAAA", "udp")]


async def test_a_silent_name_server_is_a_bad_gateway(
    asking: Wired, upstream: Upstream, name_server: NameServer
) -> None:
    name_server.say_all(HOST, Reply(is_silent=True))
    socket = await asking.open(HOST, port=upstream.port)
    answer = await fetch(socket, upstream.port)
    assert statuses(answer) == [502]
    assert b"name servers did not tell" in answer


async def test_the_files_name_servers_are_asked(
    own_proxy: Proxy, upstream: Upstream, name_server: NameServer
) -> None:
    name_server.say(HOST, A=["127.0.0.1"])
    text = own_proxy.file.read_text()
    text = text[text.index("[network]") :]  # no credential's endpoint, to which no name leads
    servers = f'nameservers = ["{ADDRESS}:{name_server.port}"]'
    own_proxy.file.write_text(text.replace("[network]\n", f"[network]\n{servers}\n"))
    await own_proxy.start()
    socket = await own_proxy.open("c1", host_policy(HOST, upstream.port))
    assert statuses(await fetch(socket, upstream.port)) == [200]
    assert sorted(name_server.asked) == [(HOST, "A", "udp"), (HOST, "AAAA", "udp")]
