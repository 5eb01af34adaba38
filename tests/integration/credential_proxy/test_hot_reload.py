"""A policy or a file that changes cuts the streams it forbids, and no others."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import Proxy
from .secure import (
    HOST,
    SecureUpstream,
    ask,
    make_authority,
    secure_upstream,
    secured,
    server_context,
)

pytestmark = pytest.mark.anyio

WEBSOCKET = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)
FRAME, ECHO = b"\x81\x82\x00\x00\x00\x00hi", b"\x81\x07echo hi"
WITHOUT_CREDENTIAL = """
[network]
allow_addresses = ["127.0.0.1:{port}"]
ca_file = "{directory}/public.pem"
[network.hosts]
"{host}" = "127.0.0.1"
"""
FILE = (
    WITHOUT_CREDENTIAL
    + """
[credentials.files]
kind = "header"
header = "x-api-key"
value_env = "TEST_API_KEY"
hosts = ["{host}"]
ports = [{port}]
"""
)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Site:
    """The proxy, and an HTTPS server that streams."""

    proxy: Proxy
    upstream: SecureUpstream
    directory: Path

    @property
    def target(self) -> str:
        return f"{HOST}:{self.upstream.port}"

    def rule(self, **more: Any) -> dict[str, Any]:
        return {"host": HOST, "ports": [self.upstream.port], **more}

    def write_file(self, text: str) -> None:
        filled = text.format(port=self.upstream.port, directory=self.directory, host=HOST)
        self.proxy.file.write_text(filled)

    async def websocket(self, socket: Path) -> Streams:
        reader, writer = await secured(socket, self.target)
        host = f"Host: {self.target}"
        assert (await ask(reader, writer, "GET /socket HTTP/1.1", host, *WEBSOCKET))[0] == 101
        await says(reader, writer)
        return reader, writer

    async def events(self, socket: Path) -> Streams:
        reader, writer = await secured(socket, self.target)
        writer.write(f"GET /events HTTP/1.1\r\nHost: {self.target}\r\n\r\n".encode())
        async with asyncio.timeout(60):
            await reader.readuntil(b"data: 1\n\n")
        return reader, writer


@pytest.fixture
async def site(proxy: Proxy, tmp_path: Path) -> AsyncIterator[Site]:
    authority = make_authority(tmp_path / "public")
    (tmp_path / "public.pem").write_bytes(authority.certificate_pem)
    async with secure_upstream(server_context(authority)) as upstream:
        made = Site(proxy, upstream, tmp_path)
        made.write_file(FILE)
        assert (await proxy.control("POST", "/reload"))[0] == 200
        yield made


async def says(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A frame goes there and comes back."""
    writer.write(FRAME)
    async with asyncio.timeout(60):
        assert await reader.readexactly(len(ECHO)) == ECHO


async def is_cut(streams: Streams) -> bool:
    """Wait for the end of a stream that would not end by itself."""
    reader, writer = streams
    async with asyncio.timeout(60):
        with suppress(ConnectionError, ssl.SSLError):
            await reader.read()
    writer.close()
    return True


async def test_a_websocket_is_cut_when_its_rule_takes_websockets_no_more(site: Site) -> None:
    socket = await site.proxy.open("c1", {"rules": [site.rule(websocket=True)]})
    talk, events = await site.websocket(socket), await site.events(socket)
    assert (await site.proxy.bind("c1", {"rules": [site.rule(intercept=True)]}))[0] == 204
    assert await is_cut(talk)
    assert (await site.proxy.logged(status=101))["reason"] in {"cut", "client-gone"}
    site.upstream.next_event.release()
    async with asyncio.timeout(60):
        await events[0].readuntil(b"data: 2\n\n")
    events[1].close()


async def test_an_event_stream_is_cut_when_its_path_is_allowed_no_more(site: Site) -> None:
    rule = site.rule(websocket=True, paths=["/events", "/socket"])
    socket = await site.proxy.open("c1", {"rules": [rule]})
    talk, events = await site.websocket(socket), await site.events(socket)
    narrower = site.rule(websocket=True, paths=["/socket"])
    assert (await site.proxy.bind("c1", {"rules": [narrower]}))[0] == 204
    assert await is_cut(events)
    await says(*talk)
    talk[1].close()


async def test_both_are_cut_when_the_host_is_allowed_no_more(site: Site) -> None:
    socket = await site.proxy.open("c1", {"rules": [site.rule(websocket=True)]})
    talk, events = await site.websocket(socket), await site.events(socket)
    assert (await site.proxy.bind("c1", {}))[0] == 204
    assert await is_cut(talk)
    assert await is_cut(events)


async def test_streams_with_a_credential_are_cut_when_the_file_has_it_no_more(site: Site) -> None:
    rule = site.rule(websocket=True, credential="files")
    socket = await site.proxy.open("c1", {"rules": [rule]})
    talk, events = await site.websocket(socket), await site.events(socket)
    site.write_file(WITHOUT_CREDENTIAL)
    assert (await site.proxy.control("POST", "/reload"))[0] == 200
    assert await is_cut(talk)
    assert await is_cut(events)


@pytest.mark.parametrize(
    "broken",
    [
        {"rules": [{"host": "*.com"}]},
        {"rules": [{"host": HOST, "credential": "nobody"}]},
        {"version": 2},
        {"rules": [{"host": HOST, "unknown": 1}]},
    ],
)
async def test_a_broken_policy_is_refused_and_the_old_one_and_its_streams_stay(
    site: Site, broken: dict[str, Any]
) -> None:
    socket = await site.proxy.open("c1", {"rules": [site.rule(websocket=True)]})
    talk = await site.websocket(socket)
    parts = {"workspace": "ws-c1", "tenant": "default", "generation": 1, "policy": broken}
    path = f"/sockets/{site.proxy.name('c1')}/binding"
    status, problem = await site.proxy.control("PUT", path, json.dumps(parts))
    assert status == 422
    assert "policy" in problem["detail"] or "rules" in problem["detail"]
    await says(*talk)
    talk[1].close()
    (await site.events(socket))[1].close()
