"""A container that goes for what the proxy bounds, and for what its neighbours share with it."""

import asyncio
import json
from pathlib import Path

import pytest

from hakoiri.wire.proxy import Bind

from .conftest import Upstream, absolute, converse, statuses
from .connections import opened
from .wiring import Wired

pytestmark = pytest.mark.anyio
HOST = "api.example.test"
TUNNELS = 10_000
AT_ONCE = 50


async def open_neighbour(wired: Wired, port: int) -> Path:
    directory = await wired.registry.open("c2")
    rules = [{"host": HOST, "ports": [port]}]
    fields = {"workspace": "w2", "tenant": "t", "generation": 1, "policy": {"rules": rules}}
    wired.registry.bind("c2", Bind.model_validate(fields))
    return directory / "proxy.sock"


async def test_ten_thousand_tunnels_end_in_429_and_neighbours_are_untouched(
    wired: Wired, upstream: Upstream
) -> None:
    wired.answers = [["127.0.0.1"]]
    port = upstream.port
    socket = await wired.open(HOST, port=port)
    neighbour = await open_neighbour(wired, port)
    target = f"{HOST}:{port}"
    head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()
    told: dict[int, int] = {200: 0, 429: 0}
    held: list[asyncio.StreamWriter] = []

    async def open_some(count: int) -> None:
        for _ in range(count):
            reader, writer = await opened(socket)
            writer.write(head)
            status = int((await reader.readuntil(b"\r\n\r\n")).split()[1])
            told[status] += 1
            if status == 200:
                held.append(writer)
            else:
                writer.close()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(open_some(TUNNELS // AT_ONCE))
    assert told == {200: 64, 429: TUNNELS - 64}
    assert statuses(await converse(neighbour, absolute("GET", f"http://{target}/"))) == [200]
    assert statuses(await converse(socket, absolute("GET", f"http://{target}/"))) == [200]
    for writer in held:
        writer.close()
    blocked = [line for line in wired.log.getvalue().splitlines() if "request_blocked" in line]
    assert len(blocked) < TUNNELS // 5, "a container fills the disk with what it is refused"


async def test_nothing_that_a_container_writes_ends_or_colours_a_log_line(
    wired: Wired, upstream: Upstream
) -> None:
    wired.answers = [["127.0.0.1"]]
    socket = await wired.open(HOST, port=upstream.port)
    base = f"http://{HOST}:{upstream.port}"
    sent = [
        absolute("GET", f'{base}/%0a%0d{{"event":"proxy_request_allowed"}}%1b[31m'),
        absolute("GET", f"{base}/", "User-Agent: \x1b[2J"),
        absolute("GET", f"{base}/", "X-A: b\nevent: forged"),
        b"GET http://x/\x1b[31m HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x1b]0;title\x07\r\n\r\n",
        b"GET http://denied.example.test\n{}/ HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    for request in sent:
        await converse(socket, request)
    written = wired.log.getvalue()
    assert written.isascii()
    assert not any(ord(character) < 32 and character != "\n" for character in written)
    lines = written.splitlines()
    assert len(lines) == len(sent)
    assert all(json.loads(line)["container"] == "c1" for line in lines)
    assert "forged" not in written


@pytest.mark.parametrize(
    "host",
    ["127.1", "0x7f.1", "2130706433", "0177.0.0.1", "0.0.0.0", "[::]", "[::ffff:169.254.169.254]",
     "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[2001::1]", "[fd00:ec2::254]",
     "169.254.169.254", "169.254.170.2", "100.64.0.1", "198.18.0.1", "224.0.0.1"],
)  # fmt: skip
async def test_an_address_is_reached_in_no_spelling(
    wired: Wired, upstream: Upstream, host: str
) -> None:
    socket = await wired.open(HOST, port=80)
    for request in (
        absolute("GET", f"http://{host}/"),
        f"CONNECT {host}:80 HTTP/1.1\r\nHost: {host}:80\r\n\r\n".encode(),
    ):
        assert statuses(await converse(socket, request)) == [403]
    assert wired.asked == []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "::", "0.0.0.0", "169.254.169.254", "169.254.170.2", "fd00:ec2::254",
     "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "2001::1",
     "100.64.0.1", "198.18.0.1", "224.0.0.1", "ff02::1"],
)  # fmt: skip
async def test_an_allowed_name_leads_to_no_address_inside(wired: Wired, address: str) -> None:
    wired.answers = [[address]]
    socket = await wired.open(HOST, port=443)
    request = f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode()
    refused = await converse(socket, request)
    assert statuses(refused) == [403]
    assert b"address-refused" in refused


async def test_another_spelling_of_a_host_is_the_same_host(
    wired: Wired, upstream: Upstream
) -> None:
    wired.answers = [["127.0.0.1"]]
    port = upstream.port
    socket = await wired.open(HOST, port=port)
    for host in (HOST, HOST.upper(), f"{HOST}.", f"{HOST.upper()}."):
        assert statuses(await converse(socket, absolute("GET", f"http://{host}:{port}/"))) == [200]
        sent = dict(upstream.requests[-1][2])
        assert sent["Host" if "Host" in sent else "host"] == f"{HOST}:{port}"
    for host in ("denied.example.test.", f"evil{HOST}", f"{HOST}.evil.test", "example.test"):
        assert statuses(await converse(socket, absolute("GET", f"http://{host}:{port}/"))) == [403]
    assert wired.asked == [HOST]


async def test_a_body_at_the_limit_passes_and_one_byte_more_is_never_half_forwarded(
    wired: Wired, upstream: Upstream
) -> None:
    wired.answers = [["127.0.0.1"]]
    directory = await wired.registry.open("c1")
    rule = {"host": HOST, "ports": [upstream.port], "intercept": False, "body_limit_bytes": 100_000}
    bind = {"workspace": "w", "tenant": "t", "generation": 1, "policy": {"rules": [rule]}}
    wired.registry.bind("c1", Bind.model_validate(bind))
    socket = directory / "proxy.sock"
    url = f"http://{HOST}:{upstream.port}/"
    for size, status in ((100_000, 200), (100_001, 413)):
        told = absolute("POST", url, f"Content-Length: {size}")
        assert statuses(await converse(socket, told, b"x" * size)) == [status]
        untold = absolute("POST", url, "Transfer-Encoding: chunked")
        chunks = b"1\r\nx\r\n" * (size - 99_000) + b"182b8\r\n" + b"x" * 99_000 + b"\r\n0\r\n\r\n"
        assert statuses(await converse(socket, untold, chunks)) == [status]
    assert [len(body) for *_, body in upstream.requests] == [100_000, 100_000]


@pytest.mark.parametrize(
    "headers",
    [
        ("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__"),
        ("Upgrade: websocket, h2c", "Connection: Upgrade"),
        ("Upgrade: TLS/1.2", "Connection: Upgrade"),
        ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
    ],
)
async def test_an_upgrade_to_what_would_not_be_decided_on_is_refused(
    wired: Wired, upstream: Upstream, headers: tuple[str, ...]
) -> None:
    socket = await wired.open(HOST, port=upstream.port)
    glued = absolute("GET", f"http://{HOST}:{upstream.port}/smuggled")
    url = f"http://{HOST}:{upstream.port}/"
    request = f"GET {url} HTTP/1.1\r\nHost: {HOST}:{upstream.port}\r\n"
    answer = await converse(
        socket, request.encode() + "\r\n".join((*headers, "", "")).encode() + glued
    )
    assert statuses(answer) == [400]
    assert upstream.requests == []
