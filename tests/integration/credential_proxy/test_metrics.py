"""What the proxy counts, and that nothing a container says becomes a label."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from hakoiri.credential_proxy.metrics.request_metrics import RequestMetrics

from .conftest import Proxy, Upstream, absolute, anthropic_policy, converse, host_policy, statuses
from .connections import opened
from .wiring import Wired

pytestmark = pytest.mark.anyio
HOST = "api.example.test"
WILD = "*.wild.example.test"


def hostile(word: str, port: int) -> list[bytes]:
    """Requests that say `word` wherever a request can say something."""
    site = f"http://{HOST}:{port}"
    close = "Connection: close\r\n"
    return [
        absolute("GET", f"http://{word}.example.test/"),
        absolute("GET", f"http://{word}.wild.example.test:{port}/"),
        absolute("GET", f"http://{word}.{HOST}:{port}/"),
        absolute("GET", f"http://{HOST}:{port}@{word}.test/"),
        absolute("GET", f"http://{word}@{HOST}:{port}/"),
        absolute("GET", f"http://[{word}]:{port}/"),
        absolute("GET", f"{word}://{HOST}:{port}/"),
        absolute("GET", f"{site}/{word}"),
        absolute("GET", f"{site}/?{word}={word}"),
        absolute("GET", f"{site}/%2e%2e/{word}"),
        absolute(word.upper(), f"{site}/"),
        absolute("GET", f"{site}/", f"X-{word}: {word}"),
        absolute("GET", f"{site}/", f"Authorization: hakoiri-secret-{word}"),
        absolute("GET", f"{site}/hakoiri-secret-{word}"),
        absolute("GET", f"{site}/", f"Upgrade: {word}", "Connection: upgrade"),
        absolute("GET", f"{site}/", f"Transfer-Encoding: {word}"),
        absolute("GET", f"{site}/", f"Content-Length: {word}"),
        absolute("GET", f"{site}/", f"Host: {word}.test"),
        absolute("GET", f"{site}/", f"Expect: {word}"),
        absolute("GET", f"{site}/", version=word),
        f"CONNECT {word}.test:443 HTTP/1.1\r\nHost: {word}.test:443\r\n\r\n".encode(),
        f"CONNECT {HOST}:{word} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode(),
        f"CONNECT {word} HTTP/1.1\r\nHost: {word}\r\n\r\n".encode(),
        f"GET /{word} HTTP/1.1\r\nHost: {word}\r\n{close}\r\n".encode(),
        f"POST /v1/{word} HTTP/1.1\r\nHost: x\r\n{close}\r\n".encode(),
        f"POST /model/{word}/invoke HTTP/1.1\r\nHost: x\r\n{close}\r\n".encode(),
        f"{word}\r\n\r\n".encode(),
        f"GET {site}/ HTTP/1.1\r\n{word}\r\n\r\n".encode(),
        f"GET {site}/ HTTP/1.1\r\nHost: {HOST}\r\nX: \0{word}\r\n\r\n".encode(),
        f"PRI * HTTP/2.0\r\n\r\n{word}".encode(),
        f"\x16\x03\x01{word}".encode() + b"\xff" * 9,
    ]


def labels_of(metrics: RequestMetrics) -> set[tuple[str, str, str]]:
    return {
        (sample.name, name, text)
        for family in metrics.collect()
        for sample in family.samples
        for name, text in sample.labels.items()
        if name != "le"
    }


async def test_nothing_that_a_container_says_becomes_a_label(
    wired: Wired, upstream: Upstream
) -> None:
    wired.answers = [["127.0.0.1"]]
    socket = await wired.open(HOST, WILD, port=upstream.port)
    for request in hostile("zonk", upstream.port):
        assert await converse(socket, request)
    before = labels_of(wired.metrics)
    for word in ("quux", "fnord"):
        for request in hostile(word, upstream.port):
            await converse(socket, request)
    assert labels_of(wired.metrics) == before
    told = {text for _, _, text in before}
    assert not any(word in text for text in told for word in ("zonk", "quux", "fnord"))
    assert {HOST, WILD, "(none)", "allowed", "refused", "2xx", "4xx"} <= told
    assert len({text for name, _, text in before if name.endswith("refusals_total")}) >= 8


async def test_a_request_is_counted_by_its_rule(wired: Wired, upstream: Upstream) -> None:
    wired.answers = [["127.0.0.1"]]
    socket = await wired.open(WILD, port=upstream.port)
    registry = CollectorRegistry()
    registry.register(wired.metrics)
    for name in ("a", "b"):
        url = f"http://{name}.wild.example.test:{upstream.port}/"
        request = absolute("POST", url, "Content-Length: 3") + b"abc"
        assert statuses(await converse(socket, request)) == [200]
    value = registry.get_sample_value
    of = {"rule": WILD}
    given = {**of, "route": "egress", "decision": "allowed", "status": "2xx"}
    assert value("hakoiri_proxy_requests_total", given) == 2
    assert value("hakoiri_proxy_transferred_bytes_total", {**of, "direction": "up"}) == 6
    for phase in ("dns", "connect", "first_byte"):
        name = "hakoiri_proxy_request_phase_seconds_count"
        assert value(name, {**of, "phase": phase}) == 2, phase
    assert value("hakoiri_proxy_request_seconds_count", of) == 2


async def figures(proxy: Proxy, path: Path) -> dict[tuple[str, str], float]:
    """Samples by name and the values of their labels."""
    async with proxy.client(path) as session, session.get("/metrics") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/plain"
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = await answer.text()
    return {
        (sample.name.removeprefix("hakoiri_proxy_"), ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_the_control_socket_tells_what_the_proxy_holds(
    proxy: Proxy, upstream: Upstream
) -> None:
    before = await figures(proxy, proxy.control_path)
    assert before["sockets", "bound"] == before["sockets", "unbound"] == 0
    await proxy.open("idle")
    socket = await proxy.open("busy", host_policy("files.example.test", upstream.port))
    url = f"http://files.example.test:{upstream.port}/"
    reader, writer = await opened(socket)
    writer.write(absolute("GET", url, "Accept: test/stream"))
    await reader.readuntil(b"data: first\n\n")
    during = await figures(proxy, proxy.control_path)
    upstream.release.set()
    await reader.read()
    writer.close()
    after = await figures(proxy, proxy.control_path)
    assert (during["sockets", "bound"], during["sockets", "unbound"]) == (1, 1)
    assert during["requests_open", ""] - before["requests_open", ""] == 1
    assert during["upstream_connections", "busy"] == 1
    assert after["requests_open", ""] == after["upstream_connections", "busy"] == 0
    assert after["upstream_connections_opened_total", ""] >= 1
    assert after["process_open_fds", ""] > 0
    assert after["credential_faulty", "bedrock"] == 0
    assert after["credential_faulty", "absent"] == 1
    assert {"dns_cache_entries", "leaf_cache_hits_total", "leaf_certificates_made_total"} <= {
        name for name, _ in after
    }


async def test_tunnels_that_stand_are_told(proxy: Proxy, upstream: Upstream) -> None:
    socket = await proxy.open("c1", host_policy("files.example.test", upstream.port))
    target = f"files.example.test:{upstream.port}"
    reader, writer = await opened(socket)
    writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    assert (await figures(proxy, proxy.control_path))["tunnels_open", ""] == 1
    writer.close()
    await proxy.logged(route="tunnel")
    after = await figures(proxy, proxy.control_path)
    assert after["tunnels_open", ""] == 0
    assert after["tunnel_seconds_count", "files.example.test"] >= 1


async def test_no_figure_tells_a_secret(proxy: Proxy, upstream: Upstream) -> None:
    socket = await proxy.open("c1", anthropic_policy())
    async with proxy.client(socket) as session, session.get("/v1/models") as answer:
        assert answer.status == 200
    async with proxy.client(proxy.control_path) as session, session.get("/metrics") as answer:
        text = await answer.text()
    assert "planted" not in text
    assert 'rule="model:anthropic"' in text
