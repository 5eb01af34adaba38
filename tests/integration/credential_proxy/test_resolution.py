import asyncio
import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from .conftest import Upstream, absolute, converse, statuses
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
        wired = wire(stack, tmp_path, text, now_s)
        route = {"provider": "anthropic", "credential": "anthropic"}
        socket = await wired.open(port=443, model=route)
        answer = await converse(
            socket, b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
    listening.close()
    await server.shutdown(1)
    await listening.wait_closed()
    assert statuses(answer) == [502]
    assert b"upstream-certificate" in answer
    assert seen == []
