"""What a request may have the model's provider fetch or run: what the policy names."""

import json
from typing import Any

import pytest

from .conftest import MODEL, Proxy, Upstream, anthropic_policy, bedrock_policy

pytestmark = pytest.mark.anyio
CONVERSE = f"/model/{MODEL.replace(':', '%3A')}/converse"
AWAY = "https://outside.test/?stolen=all-of-it"


def saying(*content: Any, **more: Any) -> dict[str, Any]:
    return {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": content}],
    } | more


AN_IMAGE = saying({"type": "image", "source": {"type": "url", "url": AWAY}})
A_DOCUMENT_IN_A_RESULT = saying(
    {
        "type": "tool_result",
        "tool_use_id": "t",
        "content": [{"type": "document", "source": {"type": "url", "url": AWAY}}],
    }
)
A_SERVER = saying("hi", mcp_servers=[{"type": "url", "url": AWAY, "name": "n"}])
A_FETCH = saying("hi", tools=[{"type": "web_fetch_20250910", "name": "web_fetch"}])
A_SEARCH = saying("hi", tools=[{"type": "web_search_20250305", "name": "web_search"}])
A_BUCKET = {
    "messages": [
        {
            "role": "user",
            "content": [
                {
                    "document": {
                        "format": "txt",
                        "name": "n",
                        "source": {"s3Location": {"uri": "s3://outside/stolen"}},
                    }
                }
            ],
        }
    ]
}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize(
    ("body", "reach"),
    [
        (AN_IMAGE, "urls"),
        (A_DOCUMENT_IN_A_RESULT, "urls"),
        (A_SERVER, "mcp"),
        (A_FETCH, "web_fetch"),
        (A_SEARCH, "web_search"),
    ],
)
async def test_a_model_is_no_way_to_other_hosts(
    proxy: Proxy, upstream: Upstream, path: str, body: dict[str, Any], reach: str
) -> None:
    socket = await proxy.open("c1", anthropic_policy())
    async with proxy.client(socket) as session, session.post(path, json=body) as answer:
        assert answer.status == 400
        assert f"model.reach: {reach}" in (await answer.json())["error"]["message"]
    assert upstream.requests == []
    policy = anthropic_policy()
    policy["model"]["reach"] = [reach]
    named = await proxy.open("c2", policy)
    async with proxy.client(named) as session, session.post(path, json=body) as answer:
        assert answer.status == 200
    assert len(upstream.requests) == 1


async def test_a_model_reads_no_bucket_with_our_rights(proxy: Proxy, upstream: Upstream) -> None:
    socket = await proxy.open("c1", bedrock_policy())
    async with proxy.client(socket) as session, session.post(CONVERSE, json=A_BUCKET) as answer:
        assert answer.status == 400
    assert upstream.requests == []


@pytest.mark.parametrize(
    "body",
    [b"\xef\xbb\xbf" + json.dumps(AN_IMAGE).encode(), json.dumps(AN_IMAGE).encode("utf-16"), b"["],
)
async def test_a_body_that_cannot_be_looked_through_does_not_go_out(
    proxy: Proxy, upstream: Upstream, body: bytes
) -> None:
    socket = await proxy.open("c1", anthropic_policy())
    async with proxy.client(socket) as session, session.post("/v1/messages", data=body) as answer:
        assert answer.status == 400
    assert upstream.requests == []
