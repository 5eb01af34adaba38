import asyncio
import json
from io import BytesIO

import pytest

from .conftest import API_KEY, Proxy, Upstream, anthropic_policy, converse, statuses

pytestmark = pytest.mark.anyio
HOSTILE_HEADERS = [
    ("X-Api-Key", "theirs"),
    ("x-api-key", "theirs-again"),
    ("Authorization", "Bearer theirs"),
    ("Proxy-Authorization", "Basic theirs"),
    ("X-Amz-Security-Token", "theirs"),
    ("Cookie", "a=theirs"),
    ("Connection", "x-api-key, authorization, host"),
    ("anthropic-version", "2023-06-01"),
    ("X-Stainless-Lang", "js"),
    ("Accept", "application/json"),
]


async def test_the_key_is_ours_alone_whatever_the_container_sends(
    proxy: Proxy, upstream: Upstream
) -> None:
    socket = await proxy.open("c1", anthropic_policy())
    async with (
        proxy.client(socket) as session,
        session.post("/v1/messages?beta=true", json={"model": "m"}, headers=HOSTILE_HEADERS) as got,
    ):
        assert got.status == 200
    [(_, target, headers, _)] = upstream.requests
    assert target == "/v1/messages?beta=true"
    assert [value for name, value in headers if name.lower() == "x-api-key"] == [API_KEY]
    assert "theirs" not in str(headers)
    named = {name.lower(): value for name, value in headers}
    assert named["anthropic-version"] == "2023-06-01"
    assert named["x-stainless-lang"] == "js"
    assert named["host"] == f"127.0.0.1:{upstream.port}"


async def test_no_secret_is_ever_logged(proxy: Proxy, upstream: Upstream) -> None:
    socket = await proxy.open("c1", anthropic_policy())
    async with (
        proxy.client(socket) as session,
        session.post("/v1/messages", json={}, headers=HOSTILE_HEADERS) as answer,
    ):
        assert answer.status == 200
    await proxy.logged(event="proxy_request_allowed")
    assert API_KEY not in json.dumps(proxy.lines)
    assert "theirs" not in json.dumps(proxy.lines)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"model": "allowed"}', 200),
        (b'{"model": "other"}', 400),
        (b'{"model": "allowed", "model": "other"}', 400),
        (b'{"model": "other", "model": "allowed"}', 400),
        (b'{"model": "allowed", "Model": "other"}', 400),
        (b'{"Model": "other", "model": "allowed"}', 400),
        (b"not json", 400),
    ],
)
async def test_a_narrowed_policy_reads_the_model_out_of_the_body(
    proxy: Proxy, upstream: Upstream, body: bytes, status: int
) -> None:
    socket = await proxy.open("c1", anthropic_policy(models=("allowed",)))
    async with proxy.client(socket) as session, session.post("/v1/messages", data=body) as answer:
        assert answer.status == status
    assert len(upstream.requests) == (status == 200)


@pytest.mark.parametrize(("model", "status"), [("allowed", 200), ("other", 400)])
async def test_a_model_named_after_megabytes_is_found(
    proxy: Proxy, upstream: Upstream, model: str, status: int
) -> None:
    texts = [{"type": "text", "text": "\u00e9\n" * 200_000} for _ in range(5)]
    content = [{"role": "user", "content": texts}]
    body = json.dumps({"messages": content, "model": model}, ensure_ascii=False).encode()
    assert len(body) > 3 * 1024 * 1024
    socket = await proxy.open("c1", anthropic_policy(models=("allowed",)))
    data = BytesIO(body)
    async with proxy.client(socket) as session, session.post("/v1/messages", data=data) as answer:
        assert answer.status == status
    assert [sent for *_, sent in upstream.requests] == [body] * (status == 200)


async def test_a_refusal_has_the_shape_that_the_cli_shows(proxy: Proxy) -> None:
    socket = await proxy.open("c1", anthropic_policy())
    async with proxy.client(socket) as session, session.post("/v1/complete") as answer:
        document = await answer.json()
    assert answer.status == 403
    assert document["type"] == "error"
    assert document["error"]["type"] == "permission_error"
    assert "path-not-allowed" in document["error"]["message"]


async def test_a_redirect_is_not_followed_with_the_key(proxy: Proxy, upstream: Upstream) -> None:
    socket = await proxy.open("c1", anthropic_policy())
    async with (
        proxy.client(socket) as session,
        session.post(
            "/v1/messages", json={}, headers={"Accept": "test/redirect"}, allow_redirects=False
        ) as answer,
    ):
        assert answer.status == 302
    assert len(upstream.requests) == 1


async def test_an_answer_streams_chunk_by_chunk(proxy: Proxy, upstream: Upstream) -> None:
    socket = await proxy.open("c1", anthropic_policy())
    async with (
        proxy.client(socket) as session,
        session.post("/v1/messages", json={}, headers={"Accept": "test/stream"}) as answer,
    ):
        # The upstream sends the rest only when it is told to, so this chunk was not held back.
        assert await answer.content.readany() == b"data: first\n\n"
        upstream.release.set()
        assert await answer.content.read() == b"data: last\n\n"


async def test_a_container_that_goes_away_ends_the_upstream_request(
    proxy: Proxy, upstream: Upstream
) -> None:
    socket = await proxy.open("c1", anthropic_policy())
    async with proxy.client(socket) as session:
        answer = await session.post("/v1/messages", json={}, headers={"Accept": "test/stream"})
        await answer.content.readany()
        answer.close()
    async with asyncio.timeout(60):
        await upstream.gone.wait()
    line = await proxy.logged(reason="client-gone")
    assert line["bytes_down"] == len(b"data: first\n\n")


async def test_a_body_over_the_limit_is_refused_and_nothing_of_it_forwarded(
    proxy: Proxy, upstream: Upstream
) -> None:
    socket = await proxy.open("c1", anthropic_policy())
    head = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\n"
    told = b"Content-Length: %d\r\n\r\n" % (32 * 1024 * 1024 + 1)
    assert statuses(await converse(socket, head + told)) == [413]
    chunk = b"100000\r\n" + b"x" * 1024 * 1024 + b"\r\n"
    untold = head + b"Transfer-Encoding: chunked\r\n\r\n"
    assert statuses(await converse(socket, untold, *[chunk] * 33)) == [413]
    assert upstream.requests == []
