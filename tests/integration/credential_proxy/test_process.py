import asyncio
import os
import re
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from hakoiri.host.adapters.proxy_client import ProxyClient
from hakoiri.host.containers.ports import ProxyControlError

from .conftest import (
    API_KEY,
    READY_TIMEOUT_S,
    SECRET_ACCESS_KEY,
    Proxy,
    Upstream,
    anthropic_policy,
    bedrock_policy,
    proxy_file,
)
from .model_upstream import INVOKE

pytestmark = pytest.mark.anyio


async def test_a_proxy_that_was_killed_serves_again_once_sockets_are_opened_again(
    own_proxy: Proxy, upstream: Upstream
) -> None:
    await own_proxy.start()
    for _ in range(2):
        socket = await own_proxy.open("c1", anthropic_policy())
        async with own_proxy.client(socket) as session, session.get("/v1/models") as answer:
            assert answer.status == 200
        directory_inode = socket.parent.stat().st_ino
        await own_proxy.stop(signal.SIGKILL)
        await own_proxy.read_log()
        await own_proxy.start()
    await own_proxy.open("c1")
    assert own_proxy.socket_of("c1").parent.stat().st_ino == directory_inode
    assert len(upstream.requests) == 2


async def test_sigterm_lets_a_running_request_finish(own_proxy: Proxy, upstream: Upstream) -> None:
    await own_proxy.start()
    assert own_proxy.process is not None
    socket = await own_proxy.open("c1", anthropic_policy())
    async with own_proxy.client(socket) as session:
        headers = {"Accept": "test/stream"}
        async with session.post("/v1/messages", json={}, headers=headers) as answer:
            await answer.content.readany()
            own_proxy.process.send_signal(signal.SIGTERM)
            upstream.release.set()
            assert await answer.content.read() == b"data: last\n\n"
    async with asyncio.timeout(60):
        assert await own_proxy.process.wait() == 0
    await own_proxy.read_log()
    assert [line["status"] for line in own_proxy.lines] == [200]
    assert not own_proxy.control_path.exists()


async def test_a_credential_process_that_hangs_does_not_hold_up_the_end(
    own_proxy: Proxy, upstream: Upstream, tmp_path: Path
) -> None:
    hangs = tmp_path / "hangs"
    hangs.write_text(f"#!/bin/sh\ncd {tmp_path}; echo $$ >new; mv new pid; exec sleep 600\n")
    hangs.chmod(0o755)
    (tmp_path / "aws").write_text(f"[default]\ncredential_process = {hangs}\n")
    own_proxy.environ = {**own_proxy.environ, "AWS_CONFIG_FILE": str(tmp_path / "aws")}
    static = re.compile('source = "static"\n.*?(?=services)', re.DOTALL)
    own_proxy.file.write_text(static.sub("", proxy_file(upstream_port=upstream.port)))
    await own_proxy.start()
    assert own_proxy.process is not None
    socket = await own_proxy.open("c1", bedrock_policy())
    async with own_proxy.client(socket) as session, AsyncExitStack() as stack:
        asking = asyncio.Task(session.post(INVOKE, json={}))
        stack.callback(asking.cancel)
        async with asyncio.timeout(READY_TIMEOUT_S):
            while not (tmp_path / "pid").exists():  # noqa: ASYNC110 - a process has no event
                await asyncio.sleep(0.01)
        child = int((tmp_path / "pid").read_text())
        stack.callback(os.kill, child, signal.SIGKILL)
        async with asyncio.timeout(2 * READY_TIMEOUT_S):
            assert await own_proxy.stop() == 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_who_reads_the_proxys_life_learns_of_its_end(
    own_proxy: Proxy, how: signal.Signals
) -> None:
    await own_proxy.start()
    async with ProxyClient(own_proxy.control_path) as client:
        async with asyncio.timeout(60), client.attached() as gone:
            assert await client.bound_sockets() == frozenset()
            await own_proxy.stop(how)
            await gone()
        with pytest.raises(ProxyControlError):
            async with client.attached():
                pass


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("[network]\nallow = []", 0o600, "network.allow"),
        ("", 0o622, "chmod go-w"),
        ('[credentials.a]\nkind = "other"', 0o600, "credentials.a"),
    ],
)
async def test_a_file_that_cannot_be_used_ends_the_start_with_the_mend(
    own_proxy: Proxy, text: str, mode: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    own_proxy.file.write_text(text)
    own_proxy.file.chmod(mode)
    with pytest.raises(AssertionError, match="the proxy ended"):
        await own_proxy.start()
    assert own_proxy.process is not None
    assert own_proxy.process.returncode == 2
    assert said in capfd.readouterr().err


async def test_health_tells_which_credential_is_missing_and_never_a_value(proxy: Proxy) -> None:
    status, health = await proxy.control("GET", "/health")
    assert status == 200
    ready = {entry["name"]: entry["ready"] for entry in health["credentials"]}
    assert ready == {"absent": False, "anthropic": True, "bedrock": True}
    assert "TEST_NOT_SET is not set" in health["credentials"][0]["reason"]
    assert API_KEY not in str(health)
    assert SECRET_ACCESS_KEY not in str(health)


async def test_a_broken_reload_keeps_the_old_file_in_force(
    proxy: Proxy, upstream: Upstream
) -> None:
    socket = await proxy.open("c1", anthropic_policy())
    proxy.file.write_text("nonsense")
    status, problem = await proxy.control("POST", "/reload")
    assert (status, problem["type"]) == (422, "urn:hakoiri:problem:configuration")
    async with proxy.client(socket) as session, session.get("/v1/models") as answer:
        assert answer.status == 200


async def test_sighup_reloads(proxy: Proxy, upstream: Upstream) -> None:
    assert proxy.process is not None
    proxy.file.write_text("")
    proxy.process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(60):
        # Each question is answered after the signals that came before it were seen.
        while (await proxy.control("GET", "/health"))[1]["credentials"]:
            continue


async def test_the_control_socket_is_for_owner_and_group(proxy: Proxy) -> None:
    assert proxy.control_path.stat().st_mode & 0o777 == 0o660
