import asyncio
import json
from io import BytesIO
from typing import Any

import pytest

from hakoiri.credential_proxy.container_socket import ContainerSocket
from hakoiri.credential_proxy.listener.handler import Listener
from hakoiri.wire.proxy import Bind

from .conftest import (
    Proxy,
    Upstream,
    absolute,
    anthropic_policy,
    bedrock_policy,
    converse,
    host_policy,
    statuses,
)
from .connections import opened
from .wiring import Wired

pytestmark = pytest.mark.anyio
HOST = "files.example.test"


async def test_an_unbound_socket_refuses_everything(proxy: Proxy, upstream: Upstream) -> None:
    socket = await proxy.open("c1")
    async with proxy.client(socket) as session, session.post("/v1/messages", json={}) as got:
        assert got.status == 403
        assert got.headers["x-hakoiri-reason"] == "unbound"
    answer = await converse(socket, absolute("GET", f"http://{HOST}:{upstream.port}/"))
    assert statuses(answer) == [403]
    assert upstream.requests == []


async def test_unbind_cuts_a_live_stream(proxy: Proxy, upstream: Upstream) -> None:
    socket = await proxy.open("c1", anthropic_policy())
    reader, writer = await opened(socket)
    writer.write(
        b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nAccept: test/stream\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    )
    await reader.readuntil(b"data: first\n\n")
    assert await proxy.unbind("c1") == 204
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await reader.readuntil(b"0\r\n\r\n")
    async with asyncio.timeout(60):
        await upstream.gone.wait()
    writer.close()
    line = await proxy.logged(path="/v1/messages")
    assert line["reason"] in {"cut", "client-gone"}
    async with proxy.client(socket) as session, session.post("/v1/messages") as answer:
        assert answer.headers["x-hakoiri-reason"] == "unbound"


async def test_a_socket_can_be_bound_before_it_listens(proxy: Proxy, upstream: Upstream) -> None:
    def bind(generation: int, policy: dict[str, Any]) -> str:
        parts = {"workspace": "w", "tenant": "default", "generation": generation, "policy": policy}
        return Bind.model_validate(parts).model_dump_json()

    path = f"/sockets/{proxy.name('c1')}"
    too_wide = {"model": {"provider": "anthropic", "credential": "nobody"}}
    assert (await proxy.control("PUT", path, bind(1, too_wide)))[0] == 422
    assert not proxy.socket_of("c1").exists()
    assert (await proxy.control("PUT", path, bind(2, anthropic_policy())))[0] == 200
    async with proxy.client(proxy.socket_of("c1")) as session, session.get("/v1/models") as got:
        assert got.status == 200
    assert (await proxy.control("PUT", path, bind(1, {})))[0] == 409
    assert (await proxy.control("PUT", path, bind(2, {})))[0] == 200
    async with proxy.client(proxy.socket_of("c1")) as session, session.get("/v1/models") as got:
        assert got.status == 400


async def test_a_socket_that_is_opened_with_its_binding_never_takes_a_request_unbound(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound: list[bool] = []
    make = wired.registry._new_listener

    def new_listener(socket: ContainerSocket) -> Listener:
        bound.append(socket.binding is not None)
        return make(socket)

    monkeypatch.setattr(wired.registry, "_new_listener", new_listener)
    parts = {"workspace": "w", "tenant": "t", "generation": 1, "policy": {}}
    await wired.registry.open("c1", Bind.model_validate(parts))
    await wired.registry.open("c2")
    assert bound == [True, False]


async def test_an_older_generation_cannot_bind(proxy: Proxy) -> None:
    await proxy.open("c1")
    assert (await proxy.bind("c1", anthropic_policy(), generation=5))[0] == 204
    status, problem = await proxy.bind("c1", {}, generation=4)
    assert (status, problem["type"]) == (409, "urn:hakoiri:problem:generation-fenced")
    await proxy.unbind("c1")
    assert (await proxy.bind("c1", {}, generation=4))[0] == 409
    assert (await proxy.bind("c1", {}, generation=5))[0] == 204


async def test_a_narrower_policy_cuts_what_it_no_longer_allows(
    proxy: Proxy, upstream: Upstream
) -> None:
    socket = await proxy.open("c1", {**anthropic_policy(), **host_policy(HOST, upstream.port)})
    kept, kept_writer = await opened(socket)
    kept_writer.write(
        absolute("GET", f"http://{HOST}:{upstream.port}/", "Accept: test/stream", version="1.0")
    )
    await kept.readuntil(b"data: first\n\n")
    async with proxy.client(socket) as session:
        cut = await session.post("/v1/messages", json={}, headers={"Accept": "test/stream"})
        await cut.content.readany()
        await proxy.bind("c1", host_policy(HOST, upstream.port))
        await proxy.logged(path="/v1/messages", reason="cut")
        cut.close()
    upstream.release.set()
    assert (await kept.read()).endswith(b"data: last\n\n")
    kept_writer.close()


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({"model": {"provider": "bedrock", "credential": "none"}}, "model.credential"),
        ({"model": {"provider": "bedrock", "credential": "anthropic"}}, "model.credential"),
        ({"model": {"provider": "anthropic", "credential": "absent"}}, "model.credential"),
        (
            {"model": {"provider": "bedrock", "credential": "bedrock", "region": "eu-west-1"}},
            "model.region",
        ),
        (
            {"model": {"provider": "bedrock", "credential": "bedrock", "models": ["other"]}},
            "model.models",
        ),
    ],
)
async def test_a_policy_wider_than_the_proxys_file_is_refused(
    proxy: Proxy, policy: dict[str, object], field: str
) -> None:
    await proxy.open("c1")
    status, problem = await proxy.bind("c1", policy)
    assert status == 422
    assert field in problem["detail"]


async def test_two_sockets_with_different_policies_do_not_mix(
    proxy: Proxy, upstream: Upstream
) -> None:
    first = await proxy.open("c1", host_policy(HOST, upstream.port))
    second = await proxy.open("c2", anthropic_policy())
    egress = absolute("GET", f"http://{HOST}:{upstream.port}/")
    model = b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert statuses(await converse(first, egress)) == [200]
    assert statuses(await converse(first, model)) == [400]
    assert statuses(await converse(second, egress)) == [403]
    assert statuses(await converse(second, model)) == [200]
    status, stats = await proxy.control("GET", "/stats")
    assert status == 200
    assert [(s["container"], s["allowed"], s["refused"]) for s in stats["sockets"]] == [
        (proxy.name("c1"), 1, 1),
        (proxy.name("c2"), 1, 1),
    ]


async def test_opening_twice_and_deleting_twice_are_harmless(proxy: Proxy) -> None:
    socket = await proxy.open("c1", bedrock_policy())
    assert await proxy.open("c1") == socket
    _, stats = await proxy.control("GET", "/stats")
    assert [socket["workspace"] for socket in stats["sockets"]] == ["ws-c1"]
    assert socket.stat().st_mode & 0o777 == 0o666
    assert socket.parent.stat().st_mode & 0o777 == 0o755
    for _ in range(2):
        assert (await proxy.control("DELETE", f"/sockets/{proxy.name('c1')}"))[0] == 204
        assert not socket.parent.exists()


@pytest.mark.parametrize("name", ["..", "%2e%2e", "a%2Fb", "A", "-a", "a" * 64])
async def test_a_container_id_is_no_path(proxy: Proxy, name: str) -> None:
    reader, writer = await opened(proxy.control_path)
    writer.write(f"PUT /sockets/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.split()[1] in {b"404", b"405", b"422"}
    assert [path.name for path in (proxy.directory / "sockets").iterdir()] == ["ca.pem"]


async def test_a_control_body_over_the_limit_is_refused(proxy: Proxy) -> None:
    await proxy.open("c1")
    status, _ = await proxy.control(
        "PUT", f"/sockets/{proxy.name('c1')}/binding", BytesIO(b"x" * (1024 * 1024 + 1))
    )
    assert status == 413


async def test_calls_on_a_socket_that_is_not_open_say_so(proxy: Proxy) -> None:
    assert (await proxy.bind("c9", {}))[0] == 404
    assert await proxy.unbind("c9") == 404
    assert (await proxy.control("GET", "/nothing"))[0] == 404


async def test_the_control_socket_explains_a_decision_without_making_it(
    proxy: Proxy, upstream: Upstream
) -> None:
    policy = host_policy(HOST, upstream.port)
    url = f"http://{HOST}:{upstream.port}/"
    status, told = await proxy.control(
        "POST", "/explain", json.dumps({"policy": policy, "url": url})
    )
    assert (status, told["verdict"], told["rule"]) == (200, "allowed", HOST)
    _, told = await proxy.control("POST", "/explain", json.dumps({"policy": {}, "url": url}))
    assert (told["code"], told["steps"][-1]["check"]) == ("host-not-allowed", "host")
    assert upstream.requests == []
    status, _ = await proxy.control(
        "POST", "/explain", json.dumps({"policy": {"x": 1}, "url": url})
    )
    assert status == 422
