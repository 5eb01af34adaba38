import asyncio
import json

import pytest

from hakoiri.credential_proxy.listener import connection

from .conftest import Upstream, absolute, converse, statuses
from .connections import opened
from .wiring import Wired

pytestmark = pytest.mark.anyio
HOST = "api.example.test"
SHORT_S = 0.05


async def test_a_head_that_never_ends_is_given_up(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT_S", SHORT_S)
    socket = await wired.open(HOST, port=80)
    answer = await converse(socket, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    assert statuses(answer) == [408]
    assert json.loads(wired.log.getvalue())["reason"] == "head-timeout"


async def test_a_body_that_stops_coming_is_given_up(
    wired: Wired, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BODY_IDLE_TIMEOUT_S", SHORT_S)
    wired.answers = [["127.0.0.1"]]
    socket = await wired.open(HOST, port=upstream.port)
    url = f"http://{HOST}:{upstream.port}/"
    answer = await converse(socket, absolute("POST", url, "Content-Length: 10") + b"12345")
    assert statuses(answer) == [408]
    assert b"body-timeout" in answer


async def test_a_container_that_does_not_read_its_answer_is_cut_off(
    wired: Wired, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ANSWER_STALL_TIMEOUT_S", SHORT_S)
    wired.answers = [["127.0.0.1"]]
    socket = await wired.open(HOST, port=upstream.port)
    _, writer = await opened(socket, limit=1024)
    writer.write(absolute("GET", f"http://{HOST}:{upstream.port}/", "Accept: test/flood"))
    async with asyncio.timeout(60):
        await upstream.gone.wait()
    writer.close()
    await wired.registry.drain(timeout_s=10)
    assert json.loads(wired.log.getvalue())["reason"] == "client-stalled"


async def test_connections_beyond_the_limit_are_refused_and_come_back(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECTIONS_LIMIT", 2)
    socket = await wired.open(HOST, port=80)
    idle = [await opened(socket) for _ in range(2)]
    request = absolute("GET", "http://denied.example.test/")
    assert statuses(await converse(socket, request)) == [429]
    for reader, writer in idle:
        writer.write(request)
        assert statuses(await reader.read()) == [403]
        writer.close()
    assert statuses(await converse(socket, request)) == [403]
