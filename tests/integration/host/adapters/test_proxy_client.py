"""The proxy's client against the proxy's own process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from tests.integration.credential_proxy.conftest import Proxy, make_proxy, running_upstream

from hakoiri.host.adapters import proxy_client as module
from hakoiri.host.adapters.proxy_client import ProxyClient
from hakoiri.host.containers.ports import ProxyAwayError, ProxyControlError
from hakoiri.host.telemetry.exposition import is_sound
from hakoiri.wire.policy import DENY_ALL
from hakoiri.wire.policy_test import PolicyTest

pytestmark = pytest.mark.anyio


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    async with running_upstream() as upstream:
        started = make_proxy(tmp_path, upstream)
        await started.start()
        yield started
        await started.stop()
        await started.read_log()


async def test_the_proxys_figures_are_as_the_server_wants_them(proxy: Proxy) -> None:
    async with ProxyClient(proxy.control_path) as client:
        await client.open_socket("c1")
        await client.bind("c1", workspace_id="w", tenant="t", generation=1, policy=DENY_ALL)
        figures = await client.figures()
    assert figures is not None
    assert is_sound(figures)
    assert 'hakoiri_proxy_sockets{state="bound"} 1.0' in figures


async def test_a_proxy_that_is_away_tells_none(tmp_path: Path) -> None:
    async with ProxyClient(tmp_path / "nobody.sock") as client:
        assert await client.figures() is None


@pytest.mark.parametrize("body", [b"x" * 1000, b"\xff"])
async def test_figures_that_are_too_long_or_no_text_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    monkeypatch.setattr(module, "FIGURES_LIMIT_BYTES", 999)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=body)

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(tmp_path / "c.sock")).start()
        async with ProxyClient(tmp_path / "c.sock") as client:
            assert await client.figures() is None
    finally:
        await runner.cleanup()


async def test_a_decision_is_explained_with_its_mend(proxy: Proxy, tmp_path: Path) -> None:
    test = PolicyTest(policy=DENY_ALL, url="https://git.example.test/a/info/refs?service=x")
    async with ProxyClient(proxy.control_path) as client:
        told = await client.explain(test)
    assert (told.verdict, told.code) == ("refused", "host-not-allowed")
    assert told.mend == 'add a rule with host = "git.example.test" and ports = [443]'
    async with ProxyClient(tmp_path / "nobody.sock") as client:
        with pytest.raises(ProxyControlError):
            await client.explain(test)


async def test_only_a_proxy_that_does_not_answer_counts_as_away(
    proxy: Proxy, tmp_path: Path
) -> None:
    async with ProxyClient(tmp_path / "nobody.sock") as client:
        for call in (client.open_socket("c1"), client.open_sockets(), client.close_socket("c1")):
            with pytest.raises(ProxyAwayError):
                await call
    async with ProxyClient(proxy.control_path) as client:
        with pytest.raises(ProxyControlError) as refused:
            await client.bind("c1", workspace_id="w", tenant="t", generation=1, policy=DENY_ALL)
        assert not isinstance(refused.value, ProxyAwayError), "it knows no such socket"
        await proxy.stop()
        with pytest.raises(ProxyAwayError):
            await client.open_socket("c1")
        await proxy.start()
