"""What the proxy's own process tells of requests, where the server named a span for them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from tests.trace_receiver import TraceReceiver, trace_receiver

from hakoiri.tracing.launch import TracingLaunch

from .conftest import (
    API_KEY,
    MODEL,
    Proxy,
    Upstream,
    absolute,
    anthropic_policy,
    bedrock_policy,
    converse,
    statuses,
)

pytestmark = pytest.mark.anyio

TURN = ("a" * 32, "b" * 16)
TRACEPARENT = f"00-{TURN[0]}-{TURN[1]}-01"
BOX = f"00-{'e' * 32}-{'f' * 16}-01"
THEIRS = (f"traceparent: {BOX}", "TraceState: planted=1", "baggage: planted=1")
HOST = "files.example.test"
TOKEN = "planted-collector-token"


@dataclass(frozen=True, slots=True)
class Site:
    proxy: Proxy
    upstream: Upstream
    receiver: TraceReceiver

    reading: asyncio.Task[None]

    async def stop(self) -> None:
        """End the proxy in order, which sends what waits."""
        assert await self.proxy.stop() == 0
        await self.reading


@pytest.fixture
async def site(own_proxy: Proxy, upstream: Upstream) -> AsyncIterator[Site]:
    with trace_receiver() as receiver:
        launch = TracingLaunch(
            endpoint=f"{receiver.endpoint}/v1/traces",
            instance="i1",
            headers={"authorization": TOKEN},
            interval_s=60,
        )
        await own_proxy.start("--tracing", told=launch.model_dump_json().encode())
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(own_proxy.read_log())
            yield Site(own_proxy, upstream, receiver, reading)
            await own_proxy.stop()


async def test_each_request_lies_below_the_span_that_the_server_named_last(site: Site) -> None:
    proxy = site.proxy
    socket = await proxy.open("c1", bedrock_policy())
    path = f"/model/{MODEL}/invoke"
    async with proxy.client(socket) as session:

        async def ask(method: str, path: str, **headers: str) -> None:
            """One after the other: the next begins when the proxy has done with this one."""
            async with session.request(method, path, headers=headers) as answer:
                await answer.read()

        await ask("POST", path)
        assert (await proxy.bind("c1", bedrock_policy(), traceparent=TRACEPARENT))[0] == 204
        await ask("POST", path, traceparent=BOX)
        await ask("GET", "/planted")
        assert (await proxy.bind("c1", bedrock_policy()))[0] == 204
        await ask("POST", path)
    await site.stop()
    call, refused = site.receiver.spans
    assert {(span.trace_id, span.parent_id) for span in (call, refused)} == {TURN}
    assert (call.name, call.kind, call.service) == (f"chat {MODEL}", "client", "hakoiri-proxy")
    assert (refused.name, refused.told["error.type"]) == ("GET", "path-not-allowed")
    lines = [(line.get("trace_id"), line.get("span_id")) for line in proxy.lines]
    known = [(span.trace_id, span.span_id) for span in (call, refused)]
    assert lines == [(None, None), *known, (None, None)]
    assert site.receiver.headers[0]["authorization"] == TOKEN
    sent = b"".join(site.receiver.raw)
    for word in (b"planted", API_KEY.encode(), bytes.fromhex("e" * 32)):
        assert word not in sent


async def test_no_way_out_carries_what_a_container_says_of_traces_or_what_we_do(
    site: Site,
) -> None:
    proxy, port = site.proxy, site.upstream.port
    rules = {"rules": [{"host": HOST, "ports": [port]}], **anthropic_policy()}
    socket = await proxy.open("c1", rules)
    await proxy.bind("c1", rules, traceparent=TRACEPARENT)
    asked = absolute("GET", f"http://{HOST}:{port}/planted?planted=1", *THEIRS)
    assert statuses(await converse(socket, asked)) == [200]
    async with proxy.client(socket) as session:
        headers = {"traceparent": BOX, "tracestate": "planted=1", "baggage": "planted=1"}
        async with session.post("/v1/messages", json={}, headers=headers) as answer:
            assert answer.status == 200
            told = {name.lower() for name in answer.headers}
    assert not told & {"traceparent", "tracestate", "traceresponse"}
    assert len(site.upstream.requests) == 2
    for _, _, sent, _ in site.upstream.requests:
        assert not {name.lower() for name, _ in sent} & {"traceparent", "tracestate", "baggage"}
        assert TURN[0] not in str(sent)
    await site.stop()
    assert sorted(span.name for span in site.receiver.spans) == ["GET", "chat"]


async def test_a_container_that_asks_much_keeps_its_lines_and_has_few_spans(site: Site) -> None:
    proxy = site.proxy
    socket = await proxy.open("c1", anthropic_policy())
    await proxy.bind("c1", anthropic_policy(), traceparent=TRACEPARENT)
    async with proxy.client(socket) as session:

        async def ask() -> None:
            async with session.get("/v1/models"):
                return

        for _ in range(15):
            await asyncio.gather(*(ask() for _ in range(20)))
    figures = await proxy.figures()
    held_back = float(
        next(
            line.split()[-1]
            for line in figures.splitlines()
            if line.startswith('hakoiri_proxy_trace_spans_total{result="held_back"}')
        )
    )
    await site.stop()
    assert held_back > 0
    assert len(site.receiver.spans) == 300 - held_back
    assert len(proxy.lines) == 300
    assert {line["trace_id"] for line in proxy.lines} == {TURN[0]}


async def test_a_bind_that_names_no_sound_span_is_refused(site: Site) -> None:
    await site.proxy.open("c1", anthropic_policy())
    body = (
        '{"workspace": "w", "tenant": "t", "generation": 1, "policy": {},'
        ' "traceparent": "00-planted"}'
    )
    path = f"/sockets/{site.proxy.name('c1')}/binding"
    status, problem = await site.proxy.control("PUT", path, body)
    assert status == 422
    assert "traceparent" in problem["detail"]
