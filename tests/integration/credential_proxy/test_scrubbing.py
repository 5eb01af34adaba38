"""A secret that an upstream sends back does not reach the container."""

import asyncio
import base64
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import API_KEY, Proxy, Upstream, converse, statuses
from .secure import ask, make_authority, secure_upstream, secured, server_context

pytestmark = pytest.mark.anyio
HOST = "echo.example.test"
PLANTED = API_KEY.encode()


@dataclass
class Site:
    proxy: Proxy
    target: str
    socket: Path


@asynccontextmanager
async def answering(proxy: Proxy, directory: Path, pieces: list[bytes]) -> AsyncIterator[Site]:
    """An HTTPS upstream that sends `pieces` one by one, whatever it is asked."""
    authority = make_authority(directory / "public")
    (directory / "public.pem").write_bytes(authority.certificate_pem)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    context = server_context(authority, HOST)
    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    proxy.file.write_text(f"""
[credentials.echo]
kind = "header"
header = "x-api-key"
value_env = "TEST_API_KEY"
hosts = ["{HOST}"]
ports = [{port}]
[network]
allow_addresses = ["127.0.0.1:{port}"]
ca_file = "{directory}/public.pem"
[network.hosts]
"{HOST}" = "127.0.0.1"
""")
    status, answer = await proxy.control("POST", "/reload")
    assert status == 200, answer
    rule = {"host": HOST, "ports": [port], "credential": "echo"}
    async with server:
        yield Site(proxy, f"{HOST}:{port}", await proxy.open("c1", {"rules": [rule]}))


def chunked(*pieces: bytes) -> list[bytes]:
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    return [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *chunks, b"0\r\n\r\n"]


def compressed(coding: bytes, body: bytes) -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n"
    return [head % (coding, len(body)), body]


TEXT = b'{"you sent": "' + PLANTED + b'"}'
HEADER = b"HTTP/1.1 200 OK\r\nX-Echo: " + PLANTED + b"\r\nContent-Length: 2\r\n\r\nok"
LONG = b"." * 100_000
"""So long that no answer with it is given as a whole."""

ECHOES = {
    "header": [HEADER],
    "body": [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(TEXT) + TEXT],
    "until the end": [b"HTTP/1.1 200 OK\r\n\r\n", TEXT],
    "split over chunks": chunked(TEXT[:20], TEXT[20:23], TEXT[23:]),
    "byte by byte": chunked(*(TEXT[at : at + 1] for at in range(len(TEXT)))),
    "event stream": chunked(b"data: " + PLANTED[:9], PLANTED[9:] + b"\n\n"),
    "long body": chunked(LONG + TEXT + LONG),
    "long event stream": chunked(LONG + b"\n\ndata: " + PLANTED[:9], PLANTED[9:] + b"\n\n" + LONG),
    "base64": chunked(base64.b64encode(b"key=" + PLANTED + b";")),
    "gzip": compressed(b"gzip", gzip.compress(TEXT)),
    "redirect": [
        b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.test/?key=" + PLANTED
        + b"\r\nContent-Length: 0\r\n\r\n"
    ],
}  # fmt: skip


@pytest.mark.parametrize("pieces", ECHOES.values(), ids=ECHOES.keys())
async def test_an_echoed_credential_does_not_come_back(
    proxy: Proxy, tmp_path: Path, pieces: list[bytes]
) -> None:
    async with answering(proxy, tmp_path, pieces) as site:
        reader, writer = await secured(site.socket, site.target)
        writer.write(f"GET / HTTP/1.1\r\nHost: {site.target}\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(60):
            answer = await reader.read()
        writer.close()
        assert statuses(answer)[0] in (200, 302)
        plain = answer.replace(b"\r\n1\r\n", b"")
        for spelling in (PLANTED, base64.b64encode(b"key=" + PLANTED)[8:24]):
            assert spelling not in answer
            assert spelling not in plain
        assert b"*" in answer
        line = await proxy.logged(route="intercepted")
        assert line["scrubbed"] >= 1
        event = await proxy.logged(event="secret_scrubbed")
        assert event["credentials"] == ["echo"]
        assert event["in_headers"] + event["in_body"] == line["scrubbed"]
        is_in_head = PLANTED in b"".join(pieces).partition(b"\r\n\r\n")[0]
        assert (event["in_headers"] > 0) is is_in_head
        assert (event["host"], event["rule"]) == (HOST, HOST)
        assert (event["container"], event["tenant"]) == (line["container"], "default")
        assert API_KEY not in str(proxy.lines)


async def test_an_answer_in_a_coding_that_cannot_be_read_is_refused(
    proxy: Proxy, tmp_path: Path
) -> None:
    async with answering(proxy, tmp_path, compressed(b"br", b"unreadable")) as site:
        reader, writer = await secured(site.socket, site.target)
        status, headers, _ = await ask(
            reader, writer, "GET / HTTP/1.1", f"Host: {site.target}", "Accept-Encoding: br"
        )
        assert (status, headers["x-hakoiri-reason"]) == (502, "unreadable-coding")
        writer.close()


async def test_a_placeholder_becomes_its_secret_towards_its_host_alone(
    proxy: Proxy, upstream: Upstream, tmp_path: Path
) -> None:
    authority = make_authority(tmp_path / "public")
    (tmp_path / "public.pem").write_bytes(authority.certificate_pem)
    async with secure_upstream(server_context(authority, HOST)) as secure:
        proxy.file.write_text(f"""
[credentials.token]
kind = "secret"
value_env = "TEST_API_KEY"
hosts = ["{HOST}"]
ports = [{secure.port}]
[network]
allow_addresses = ["127.0.0.1:{secure.port}", "127.0.0.1:{upstream.port}"]
ca_file = "{tmp_path}/public.pem"
[network.hosts]
"{HOST}" = "127.0.0.1"
"other.example.test" = "127.0.0.1"
""")
        assert (await proxy.control("POST", "/reload"))[0] == 200
        rules = [
            {"host": HOST, "ports": [secure.port], "secrets": ["token"]},
            {"host": "other.example.test", "ports": [upstream.port]},
        ]
        socket = await proxy.open("c1", {"rules": rules})
        target = f"{HOST}:{secure.port}"
        basic = base64.b64encode(b"user:hakoiri-secret-token").decode()
        reader, writer = await secured(socket, target)
        lines = ("GET /a?key=hakoiri-secret-token HTTP/1.1", f"Host: {target}",
                 f"Authorization: Basic {basic}", "X-Token: hakoiri-secret-token")  # fmt: skip
        status, _, body = await ask(reader, writer, *lines)
        writer.close()
        assert status == 200
        assert PLANTED not in body  # the upstream tells the query it was asked
        (_, path, headers, _) = secure.requests[0]
        assert path == f"/a?key={API_KEY}"
        assert headers["x-token"] == API_KEY
        assert base64.b64decode(headers["authorization"].split()[1]) == b"user:" + PLANTED
        url = f"http://other.example.test:{upstream.port}/"
        elsewhere = f"GET {url} HTTP/1.1\r\nHost: other.example.test:{upstream.port}\r\n"
        sent = elsewhere.encode() + b"X-Token: hakoiri-secret-token\r\n\r\n"
        answer = await converse(socket, sent)
        assert statuses(answer) == [403]
        assert b"placeholder-not-allowed" in answer
        assert upstream.requests == []
        blocked = await proxy.logged(
            event="proxy_request_blocked", reason="placeholder-not-allowed"
        )
        assert blocked["secrets"] == []
        let_by = await proxy.logged(event="proxy_request_allowed", route="intercepted")
        assert let_by["secrets"] == ["token"]
