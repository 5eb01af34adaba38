import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hakoiri.credential_proxy.interception.certificate_authority import CertificateAuthority

from .conftest import API_KEY, Proxy, converse, statuses
from .secure import (
    HOST,
    SecureUpstream,
    ask,
    connect,
    make_authority,
    secure_upstream,
    secured,
    server_context,
)

pytestmark = pytest.mark.anyio


@dataclass
class Site:
    """The proxy, and an HTTPS server that it trusts and has a credential for."""

    proxy: Proxy
    upstream: SecureUpstream
    authority: CertificateAuthority
    target: str

    async def open(self, *rules: dict[str, Any]) -> Path:
        policy = {"rules": [{"host": HOST, "ports": [self.upstream.port], **r} for r in rules]}
        return await self.proxy.open("c1", policy)


def proxy_file(directory: Path, port: int) -> str:
    return f"""
[credentials.files]
kind = "header"
header = "x-api-key"
value_env = "TEST_API_KEY"
hosts = ["{HOST}"]
endpoint = "https://{HOST}:{port}"
[credentials.query]
kind = "query"
parameter = "key"
value_env = "TEST_API_KEY"
hosts = ["{HOST}"]
ports = [{port}]
[network]
allow_addresses = ["127.0.0.1:{port}", "127.77.0.1:443"]
ca_file = "{directory}/public.pem"
[network.hosts]
"{HOST}" = "127.0.0.1"
"tunnel.example.test" = "127.77.0.1"
"""


@pytest.fixture
async def site(proxy: Proxy, tmp_path: Path) -> AsyncIterator[Site]:
    authority = make_authority(tmp_path / "public")
    (tmp_path / "public.pem").write_bytes(authority.certificate_pem)
    async with secure_upstream(server_context(authority)) as upstream:
        proxy.file.write_text(proxy_file(tmp_path, upstream.port))
        status, answer = await proxy.control("POST", "/reload")
        assert status == 200, answer
        yield Site(proxy, upstream, authority, f"{HOST}:{upstream.port}")


async def test_a_credential_is_put_on_requests_inside_tls(site: Site) -> None:
    socket = await site.open({"credential": "files"})
    reader, writer = await secured(socket, site.target)
    for path in ("/a?b=c", "/d"):
        lines = (f"GET {path} HTTP/1.1", f"Host: {site.target}", "X-Api-Key: theirs",
                 "X_Api_Key: theirs", "x-aPI-key: theirs", "Cookie: theirs",
                 "Connection: x-api-key, host, keep-alive")  # fmt: skip
        assert (await ask(reader, writer, *lines))[0::2] == (200, f"GET {path}".encode())
    writer.close()
    assert [(method, path) for method, path, *_ in site.upstream.requests] == [
        ("GET", "/a?b=c"),
        ("GET", "/d"),
    ]
    for _, _, headers, _ in site.upstream.requests:
        assert headers["x-api-key"] == API_KEY
        assert headers["host"] == site.target
        assert "theirs" not in str(headers)
        assert "x-api-key" not in headers.get("connection", "")
    assert site.upstream.connections == 1
    line = await site.proxy.logged(route="intercepted", path="/d")
    assert (line["rule"], line["credential"], line["status"]) == (HOST, "files", 200)
    await site.proxy.logged(route="intercept", status=200)
    assert API_KEY not in str(site.proxy.lines)


async def test_a_query_parameter_of_ours_takes_the_place_of_theirs(site: Site) -> None:
    socket = await site.open({"credential": "query"})
    reader, writer = await secured(socket, site.target)
    lines = ("GET /a?b=c&%6bey=theirs&KEY=theirs HTTP/1.1", f"Host: {site.target}")
    assert (await ask(reader, writer, *lines))[0] == 200
    writer.close()
    assert [path for _, path, *_ in site.upstream.requests] == [f"/a?b=c&key={API_KEY}"]
    await site.proxy.logged(route="intercepted", credential="query")
    assert API_KEY not in str(site.proxy.lines)


async def test_what_could_not_be_read_is_not_asked_for(site: Site) -> None:
    socket = await site.open({"credential": "files"})
    reader, writer = await secured(socket, site.target)
    for asked in ("br, gzip;q=0.5, zstd", "br"):
        lines = ("GET /a HTTP/1.1", f"Host: {site.target}", f"Accept-Encoding: {asked}")
        assert (await ask(reader, writer, *lines))[0] == 200
    writer.close()
    sent = [headers["accept-encoding"] for _, _, headers, _ in site.upstream.requests]
    assert sent == ["gzip;q=0.5", "identity"]


async def test_a_body_streams_through_and_a_long_one_comes_back_whole(site: Site) -> None:
    socket = await site.open({"credential": "files"})
    reader, writer = await secured(socket, site.target)
    body = b"0123456789abcdef" * 65536
    lines = ("POST /up HTTP/1.1", f"Host: {site.target}", f"Content-Length: {len(body)}",
             "Expect: 100-continue")  # fmt: skip
    writer.write("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")
    assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
    assert (await ask(reader, writer, body=body))[0] == 200
    writer.close()
    assert site.upstream.requests[0][3].startswith(b"\r\n") or len(site.upstream.requests[0][3])


async def test_the_key_of_the_authority_is_not_beside_the_socket(site: Site) -> None:
    socket = await site.open({"intercept": True})
    assert sorted(path.name for path in socket.parent.iterdir()) == ["ca.pem", "proxy.sock"]
    assert b"PRIVATE" not in socket.with_name("ca.pem").read_bytes()


@pytest.mark.parametrize("server_name", ["other.example.test", "example.test"])
async def test_a_handshake_for_another_host_than_the_connects_is_refused(
    site: Site, server_name: str
) -> None:
    socket = await site.open({"credential": "files"})
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await secured(socket, site.target, server_name=server_name)
    await site.proxy.logged(route="intercept", reason="tls-handshake-failed")
    assert site.upstream.connections == 0


async def test_plain_text_where_tls_should_begin_is_cut_off(site: Site) -> None:
    socket = await site.open({"credential": "files"})
    reader, writer, _ = await connect(socket, site.target)
    writer.write(f"GET / HTTP/1.1\r\nHost: {site.target}\r\n\r\n".encode())
    with suppress(ConnectionError):
        assert b"200" not in await reader.read()
    writer.close()
    await site.proxy.logged(reason="tls-handshake-failed")
    assert site.upstream.requests == []


async def test_what_comes_before_the_answer_to_connect_is_no_tls(site: Site) -> None:
    socket = await site.open({"credential": "files"})
    head = f"CONNECT {site.target} HTTP/1.1\r\nHost: {site.target}\r\n\r\n".encode()
    assert statuses(await converse(socket, head + b"\x16\x03\x01")) == [400]


async def test_a_host_inside_that_is_not_the_connects_gets_no_credential(site: Site) -> None:
    socket = await site.open({"credential": "files"})
    reader, writer = await secured(socket, site.target)
    status, headers, _ = await ask(reader, writer, "GET / HTTP/1.1", "Host: other.example.test")
    assert (status, headers["x-hakoiri-reason"]) == (421, "misdirected-request")
    assert site.upstream.requests == []
    writer.close()


async def test_each_request_inside_is_held_to_the_rules(site: Site) -> None:
    socket = await site.open(
        {"methods": ["GET"], "paths": ["/public/**"], "credential": "files"},
        {"methods": ["POST"], "paths": ["/up"], "body_limit_bytes": 4},
        {"methods": ["POST"], "paths": ["/empty"], "body_limit_bytes": 0},
    )
    cases: list[tuple[tuple[str, ...], bytes, int, str]] = [
        (("DELETE /public/a HTTP/1.1",), b"", 403, "method-not-allowed"),
        (("GET /private HTTP/1.1",), b"", 403, "path-not-allowed"),
        (("GET /public/%2e%2e/private HTTP/1.1",), b"", 400, "ambiguous-path"),
        (("POST /up HTTP/1.1", "Content-Length: 5"), b"12345", 413, "body-too-large"),
        (
            ("POST /up HTTP/1.1", "Transfer-Encoding: chunked"),
            b"5\r\n12345\r\n0\r\n\r\n",
            413,
            "body-too-large",
        ),
        (
            ("POST /empty HTTP/1.1", "Transfer-Encoding: chunked"),
            b"1\r\n1\r\n0\r\n\r\n",
            413,
            "body-too-large",
        ),
    ]
    for lines, body, status, code in cases:
        reader, writer = await secured(socket, site.target)
        good = await ask(reader, writer, "GET /public/a HTTP/1.1", f"Host: {site.target}")
        assert good[0] == 200
        bad = await ask(reader, writer, *lines, f"Host: {site.target}", body=body)
        assert (bad[0], bad[1]["x-hakoiri-reason"]) == (status, code)
        writer.close()
    assert {method for method, *_ in site.upstream.requests} == {"GET"}
    reader, writer = await secured(socket, site.target)
    lines = ("POST /up HTTP/1.1", f"Host: {site.target}", "Transfer-Encoding: chunked")
    assert (await ask(reader, writer, *lines, body=b"4\r\n1234\r\n0\r\n\r\n"))[0] == 200
    assert site.upstream.requests[-1][3] == b"1234"
    writer.close()


@pytest.mark.parametrize("flaw", ["another authority", "another name", "expired"])
async def test_an_upstream_that_is_not_who_it_should_be_is_refused(
    site: Site, tmp_path: Path, flaw: str
) -> None:
    authority = site.authority
    if flaw == "another authority":
        authority = make_authority(tmp_path / "another")
    host = "other.example.test" if flaw == "another name" else HOST
    age = timedelta(days=8) if flaw == "expired" else timedelta()
    async with secure_upstream(server_context(authority, host, age=age)) as impostor:
        site.proxy.file.write_text(proxy_file(tmp_path, impostor.port))
        assert (await site.proxy.control("POST", "/reload"))[0] == 200
        rule = {"host": HOST, "ports": [impostor.port], "credential": "files"}
        socket = await site.proxy.open("c1", {"rules": [rule]})
        reader, writer = await secured(socket, f"{HOST}:{impostor.port}")
        status, headers, _ = await ask(
            reader, writer, "GET / HTTP/1.1", f"Host: {HOST}:{impostor.port}"
        )
        assert (status, headers["x-hakoiri-reason"]) == (502, "upstream-certificate")
        assert impostor.requests == []
        writer.close()


async def test_a_policy_that_forbids_the_host_cuts_what_is_intercepted(site: Site) -> None:
    socket = await site.open({"credential": "files"})
    reader, writer = await secured(socket, site.target)
    assert (await ask(reader, writer, "GET / HTTP/1.1", f"Host: {site.target}"))[0] == 200
    assert (await site.proxy.bind("c1", {}))[0] == 204
    with suppress(ConnectionError, ssl.SSLError):
        assert await reader.read() == b""
    writer.close()
    await site.proxy.logged(route="intercept", reason="cut")


async def test_a_raw_tunnel_is_cut_when_the_policy_comes_to_look_inside(site: Site) -> None:
    raw = {"host": HOST, "ports": [site.upstream.port]}
    site.proxy.file.write_text(
        site.proxy.file.read_text()
        .replace(f'["{HOST}"]', '["no.test"]')
        .replace(f"https://{HOST}", "https://127.0.0.1")
    )
    assert (await site.proxy.control("POST", "/reload"))[0] == 200
    socket = await site.proxy.open("c1", {"rules": [raw]})
    reader, writer, head = await connect(socket, site.target)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert (await site.proxy.bind("c1", {"rules": [{**raw, "methods": ["GET"]}]}))[0] == 204
    with suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()


WEBSOCKET = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)


async def test_a_websocket_inside_becomes_a_tunnel_with_the_credential_put_on_it(
    site: Site,
) -> None:
    socket = await site.open({"credential": "files", "websocket": True})
    reader, writer = await secured(socket, site.target)
    host = f"Host: {site.target}"
    status, headers, _ = await ask(reader, writer, "GET /socket HTTP/1.1", host, *WEBSOCKET)
    assert (status, headers["upgrade"].lower()) == (101, "websocket")
    assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    writer.write(b"\x81\x82\x00\x00\x00\x00hi")  # one masked text frame
    assert await reader.readexactly(9) == b"\x81\x07echo hi"
    writer.close()
    line = await site.proxy.logged(status=101)
    assert (line["credential"], line["bytes_down"]) == ("files", 9)


@pytest.mark.parametrize(("path", "status"), [("/not-switched", 200), ("/switched-badly", 502)])
async def test_an_upgrade_that_is_not_accepted_opens_no_tunnel(
    site: Site, path: str, status: int
) -> None:
    socket = await site.open({"websocket": True})
    reader, writer = await secured(socket, site.target)
    host = f"Host: {site.target}"
    try:
        async with asyncio.timeout(20):  # what is in a tunnel is no answer, and has no end
            answer = await ask(reader, writer, f"GET {path} HTTP/1.1", host, *WEBSOCKET)
    finally:
        writer.close()
    assert answer[0] == status


async def test_a_websocket_where_the_rule_has_none_is_refused(site: Site) -> None:
    socket = await site.open({"intercept": True})
    reader, writer = await secured(socket, site.target)
    host = f"Host: {site.target}"
    status, headers, _ = await ask(reader, writer, "GET /socket HTTP/1.1", host, *WEBSOCKET)
    assert (status, headers["x-hakoiri-reason"]) == (403, "websocket-not-allowed")
    writer.close()


TUNNEL_HOST = "tunnel.example.test"


async def test_a_raw_tunnel_carries_tls_to_its_own_host_alone(site: Site) -> None:
    context = server_context(site.authority, TUNNEL_HOST)
    async with secure_upstream(context, address="127.77.0.1", port=443) as upstream:
        socket = await site.proxy.open("c1", {"rules": [{"host": TUNNEL_HOST}]})
        trusted = ssl.create_default_context(cadata=site.authority.certificate_pem.decode())
        target = f"{TUNNEL_HOST}:443"

        async def hello(name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer, _ = await connect(socket, target)
            await writer.start_tls(trusted, server_hostname=name)
            return reader, writer

        reader, writer = await hello(TUNNEL_HOST)
        assert (await ask(reader, writer, "GET /x HTTP/1.1", f"Host: {TUNNEL_HOST}"))[0] == 200
        writer.close()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await hello("other.example.test")
        await site.proxy.logged(route="tunnel", reason="tunnel-name-mismatch")
        reader, writer, _ = await connect(socket, target)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        line = await site.proxy.logged(route="tunnel", reason="tunnel-not-tls")
        assert line["event"] == "proxy_request_blocked"
        assert len(upstream.requests) == 1
