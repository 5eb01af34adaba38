"""A proxy whose audit log lies on a full disk: nothing goes out of which no record is kept."""

import asyncio
from collections.abc import AsyncIterator
from functools import reduce
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.full_disk import SmallDisk, small_disk

from hakoiri.audit.chain import Position, follow
from hakoiri.audit.segments import read_chain

from .conftest import MODEL, READY_TIMEOUT_S, Proxy, Upstream, bedrock_policy

pytestmark = [pytest.mark.anyio, pytest.mark.root]

INVOKE = f"/model/{MODEL.replace(':', '%3A')}/invoke"


@pytest.fixture
def disk(tmp_path: Path) -> Any:
    with small_disk(tmp_path / "log") as made:
        yield made


async def start(proxy: Proxy, disk: SmallDisk, *more: str) -> Path:
    await proxy.start("--audit-dir", str(disk.place), *more)
    return await proxy.open("c1", bedrock_policy())


async def ask(session: aiohttp.ClientSession) -> aiohttp.ClientResponse:
    return await session.post(INVOKE, data=b"{}", headers={"Content-Type": "application/json"})


async def ask_until(session: aiohttp.ClientSession, status: int) -> aiohttp.ClientResponse:
    """Ask again and again until it is answered with this status."""
    async with asyncio.timeout(READY_TIMEOUT_S):
        while True:
            answer = await ask(session)
            if answer.status == status:
                return answer
            await asyncio.sleep(0.05)


@pytest.fixture
async def site(own_proxy: Proxy) -> AsyncIterator[Proxy]:
    async with asyncio.TaskGroup() as tasks:
        yield own_proxy
        reading = tasks.create_task(own_proxy.read_log())
        assert await own_proxy.stop() == 0
        await reading


async def test_nothing_is_signed_while_the_disk_is_full_and_it_goes_on_by_itself(
    site: Proxy, upstream: Upstream, disk: SmallDisk
) -> None:
    socket = await start(site, disk)
    async with site.client(socket) as session:
        await ask_until(session, 200)
        disk.fill()
        refused = await ask_until(session, 503)
        # for the agent's CLI, which tries again
        assert refused.headers["x-hakoiri-reason"] == "audit-unavailable"
        assert refused.headers["Retry-After"] == "5"
        assert "x-should-retry" not in refused.headers
        told = (await refused.json())["error"]
        assert told["type"] == "overloaded_error"
        assert "cannot write its audit log" in told["message"]
        assert str(disk.place) not in told["message"], "a container learns no path"
        let_out = len(upstream.requests)
        for _ in range(5):
            assert (await ask(session)).status == 503
        assert len(upstream.requests) == let_out, "nothing went out"
        assert 'refusals_total{code="audit-unavailable"} 6' in (await site.figures())
        disk.free()
        await ask_until(session, 200)
    await site.stop()
    events = [line for line in read_chain(disk.place) if b"proxy_request_allowed" in line]
    assert len(events) == len(upstream.requests), "all that went out is in it, and nothing else"
    assert not [line for line in read_chain(disk.place) if b"audit-unavailable" in line]
    assert reduce(follow, read_chain(disk.place), Position()).sequence >= len(events)


async def test_who_is_told_to_goes_on(site: Proxy, upstream: Upstream, disk: SmallDisk) -> None:
    socket = await start(site, disk, "--audit-goes-on")
    async with site.client(socket) as session:
        await ask_until(session, 200)
        disk.fill()
        async with asyncio.timeout(READY_TIMEOUT_S):
            while "hakoiri_proxy_audit_faulty 1.0" not in await site.figures():
                assert (await ask(session)).status == 200
        assert (await ask(session)).status == 200
        disk.free()
    assert upstream.requests
