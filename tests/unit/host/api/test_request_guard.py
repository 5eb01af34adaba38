from collections.abc import AsyncIterator

import anyio
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from tests.unit.host.api.served import Served, problem

from hakoiri.host.api.request_guard import (
    BodyGuard,
    is_loopback_host,
    is_same_origin,
    is_upload,
)
from hakoiri.wire.messages import BODY_LIMIT_BYTES

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8420", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:80", "[::1]:80"]
)
async def test_a_keyless_server_answers_to_loopbacks_names(host: str) -> None:
    async with Served().client() as client:
        assert (await client.get("/health", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "evil.test:8420",
        "localhost.evil.test",
        "localhost:8420.evil.test",
        "127.0.0.1.evil.test",
        "localhost.",
        "127.0.0.2",
        "::1",
        "[::1",
        "localhost:80:80",
        "user@localhost",
        "",
    ],
)
async def test_a_keyless_server_refuses_other_hosts(host: str) -> None:
    async with Served().client() as client:
        refused = await client.get("/health", headers={"Host": host})
        assert (refused.status_code, problem(refused)) == (403, "host-refused")


async def test_two_hosts_are_refused() -> None:
    async with Served().client() as client:
        refused = await client.get("/health", headers=[("Host", "localhost"), ("Host", "b.test")])
        assert (refused.status_code, problem(refused)) == (403, "host-refused")


async def test_a_server_with_keys_answers_to_any_name_but_to_no_foreign_origin() -> None:
    async with Served(require_keys=True).client(Host="agents.example.com") as client:
        assert (await client.get("/health")).status_code == 200
        foreign = {"Origin": "https://evil.test"}
        refused = await client.get("/health", headers=foreign)
        assert (refused.status_code, problem(refused)) == (403, "origin-refused")
        own = {"Origin": "https://agents.example.com"}
        assert (await client.get("/health", headers=own)).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["https://evil.test", "null", "", "http://localhost:9999", "http://[::1", "file://localhost"],
)
async def test_a_foreign_origin_makes_nothing(origin: str) -> None:
    served = Served()
    async with served.client() as client:
        refused = await client.post("/v1/conversations", json={}, headers={"Origin": origin})
        assert (refused.status_code, problem(refused)) == (403, "origin-refused")
        assert (await client.get("/v1/conversations")).json()["conversations"] == []


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"]
)
async def test_a_body_that_is_not_json_is_refused(kind: str) -> None:
    async with Served().client() as client:
        refused = await client.post(
            "/v1/conversations", content=b"{}", headers={"Content-Type": kind}
        )
        assert (refused.status_code, problem(refused)) == (415, "not-json")


async def test_json_may_have_parameters() -> None:
    async with Served().client() as client:
        made = await client.post(
            "/v1/conversations",
            content=b"{}",
            headers={"Content-Type": "Application/JSON; charset=utf-8"},
        )
        assert made.status_code == 201


async def test_a_body_at_the_limit_passes_and_one_byte_more_does_not() -> None:
    async with Served().client(**{"Content-Type": "application/json"}) as client:
        body = b"{" + b" " * (BODY_LIMIT_BYTES - 2) + b"}"
        assert (await client.post("/v1/conversations", content=body)).status_code == 201
        refused = await client.post("/v1/conversations", content=body + b" ")
        assert (refused.status_code, problem(refused)) == (413, "body-too-large")


async def test_a_message_of_ten_megabytes_is_refused() -> None:
    async with Served().client() as client:
        refused = await client.post("/v1/conversations", json={"text": "x" * 10_000_000})
        assert (refused.status_code, problem(refused)) == (413, "body-too-large")


class App:
    """Answers with the body that reached it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        await Response(body)(scope, receive, send)


def client_of(app: BodyGuard) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://localhost")


async def test_a_body_without_a_length_is_counted() -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 10

    async with client_of(BodyGuard(App(), limit_bytes=50, discard_limit_bytes=100)) as client:
        refused = await client.post(
            "/", content=chunks(), headers={"Content-Type": "application/json"}
        )
    assert refused.status_code == 413
    assert refused.headers["connection"] == "close"
    assert sent <= 12


async def test_a_body_that_announces_too_much_is_refused_unread() -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        sent += 1
        yield b"x" * 101

    guard = BodyGuard(App(), limit_bytes=50, discard_limit_bytes=100)
    async with client_of(guard) as client:
        for length in ("101", "9" * 30, "-1", "x"):
            refused = await client.post("/", content=chunks(), headers={"Content-Length": length})
            assert (refused.status_code, problem(refused)) == (413, "body-too-large")
    assert sent == 0


async def test_a_body_in_pieces_arrives_whole() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"[1,"
        yield b"2]"

    async with client_of(BodyGuard(App(), limit_bytes=100)) as client:
        answer = await client.post(
            "/", content=chunks(), headers={"Content-Type": "application/json"}
        )
    assert answer.content == b"[1,2]"


async def test_a_body_that_never_arrives_is_given_up() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        await anyio.Event().wait()
        yield b""

    async with client_of(BodyGuard(App(), timeout_s=0.01)) as client:
        refused = await client.post("/", content=chunks())
    assert refused.status_code == 408


@given(st.text(st.characters(max_codepoint=255)))
def test_no_host_but_loopbacks_names_passes(host: str) -> None:
    names = ("localhost", "127.0.0.1", "[::1]")
    if is_loopback_host(host):
        assert any(host.lower() == name or host.lower().startswith(f"{name}:") for name in names)


@given(st.text())
def test_an_origin_is_never_an_error(origin: str) -> None:
    assert is_same_origin(origin, "localhost") in (True, False)


@pytest.mark.parametrize(
    ("method", "path", "is_one"),
    [
        ("PUT", "/v1/workspaces/w-1/files/a", True),
        ("PUT", "/v1/conversations/c-1/workspace/files/a/b\nc", True),
        ("PUT", "/v1/workspaces/w-1/files/", False),
        ("POST", "/v1/workspaces/w-1/files/a", False),
        ("PUT", "/v1/policies/files/a", False),
        ("PUT", "/v1/conversations/c-1/files/a", False),
        ("PUT", "/v1/workspaces/w-1/x/files/a", False),
    ],
)
def test_only_a_files_bytes_are_not_json(method: str, path: str, *, is_one: bool) -> None:
    assert is_upload({"type": "http", "method": method, "path": path}) is is_one
