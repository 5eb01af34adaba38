"""Two tenants at one proxy: what is one's is not put on the other's requests."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from hakoiri.credential_proxy.binding import PolicyTooWideError
from hakoiri.wire.proxy import Bind

from .conftest import Upstream, absolute, converse, statuses
from .wiring import Wired, wire

pytestmark = pytest.mark.anyio
ASK = b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def of(tenant: str, credential: str) -> Bind:
    policy = {"model": {"provider": "anthropic", "credential": credential}}
    fields: dict[str, Any] = {"workspace": f"w-{tenant}", "generation": 1, "policy": policy}
    return Bind.model_validate({**fields, "tenant": tenant})


@pytest.fixture
async def wired(tmp_path: Path, upstream: Upstream) -> AsyncIterator[Wired]:
    ours = f"""
kind = "header"
header = "x-api-key"
value_env = "KEY"
hosts = ["api.anthropic.com"]
endpoint = "http://127.0.0.1:{upstream.port}"
"""
    text = f"""
[credentials.acmes]
tenants = ["acme"]
{ours}
[credentials.everybodys]
{ours}
[network]
allow_addresses = ["127.0.0.1:{upstream.port}"]
"""
    async with AsyncExitStack() as stack:
        yield wire(stack, tmp_path, text, [0.0])


async def test_a_policy_cannot_name_another_tenants_credential(
    wired: Wired, upstream: Upstream
) -> None:
    told = []
    for number, credential in enumerate(("acmes", "absent")):
        with pytest.raises(PolicyTooWideError) as refused:
            await wired.registry.open(f"c{number}", bind=of("other", credential))
        told.append(str(refused.value).replace(credential, "…"))
    assert told[0] == told[1], "an answer tells that it exists"
    directory = await wired.registry.open("mine", bind=of("acme", "acmes"))
    assert statuses(await converse(directory / "proxy.sock", ASK)) == [200]
    assert len(upstream.requests) == 1


async def test_a_connection_is_not_shared_between_tenants(wired: Wired) -> None:
    for container, tenant in (("c1", "acme"), ("c2", "acme"), ("c3", "other")):
        bind = of(tenant, "everybodys").model_copy(update={"workspace": f"w-{container}"})
        directory = await wired.registry.open(container, bind=bind)
        assert statuses(await converse(directory / "proxy.sock", ASK)) == [200]
    assert (wired.client.figures.created, wired.client.figures.reused) == (2, 1)


async def test_a_name_of_somebodys_own_is_no_way_around_to_where_a_credential_goes(
    wired: Wired, upstream: Upstream
) -> None:
    """Its owner lets it lead to the endpoint, which may want no key, and counts no tokens."""
    wired.answers = [["127.0.0.1"]]
    socket = await wired.open("gateway.attacker.test", port=upstream.port)
    base = f"gateway.attacker.test:{upstream.port}"
    assert statuses(await converse(socket, absolute("GET", f"http://{base}/v1/models"))) == [403]
    connect = f"CONNECT {base} HTTP/1.1\r\nHost: {base}\r\n\r\n".encode()
    assert statuses(await converse(socket, connect)) == [403]
    assert upstream.requests == []
