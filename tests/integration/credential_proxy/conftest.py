import asyncio
import json
import os
import re
import signal
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from hakoiri.credential_proxy.credentials.aws_chain import THREAD_NAME
from hakoiri.wire.proxy import Bind

from .connections import close_all, cut, opened
from .wiring import Wired, wire

ACCESS_KEY_ID = "AKIDEXAMPLE"
SECRET_ACCESS_KEY = "planted/aws+secret"
SESSION_TOKEN = "planted-session-token"
API_KEY = "planted-api-key"
MODEL = "us.anthropic.claude-test-v1:0"
READY_TIMEOUT_S = 60


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


async def chains_have_ended() -> None:
    """Wait for AWS chains that nobody waits for any more, while there is somebody to answer."""
    for thread in threading.enumerate():
        if thread.name == THREAD_NAME:
            await asyncio.to_thread(thread.join)


async def converse(socket: Path, *sent: bytes) -> bytes:
    """Send, and read until the proxy closes; a connection that stays open fails the test."""
    reader, writer = await opened(socket)
    answer = bytearray()
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            with suppress(ConnectionError):
                for part in sent:
                    writer.write(part)
                    await writer.drain()
            with suppress(ConnectionError):
                while chunk := await reader.read(65536):
                    answer += chunk
        return bytes(answer)
    finally:
        await cut(writer)


def statuses(answer: bytes) -> list[int]:
    """The status of each answer in what was read from a connection."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


def absolute(method: str, url: str, *headers: str, version: str = "1.1") -> bytes:
    """The head of an absolute-form request that asks for the connection to be closed."""
    host = url.split("/")[2]
    lines = (f"{method} {url} HTTP/{version}", f"Host: {host}", "Connection: close", *headers)
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


@dataclass
class Proxy:
    """A running proxy process and its sockets."""

    directory: Path
    environ: Mapping[str, str]
    process: asyncio.subprocess.Process | None = None
    all_lines: list[dict[str, Any]] = field(default_factory=list)
    tests: int = 0
    more_lines: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def control_path(self) -> Path:
        return self.directory / "control.sock"

    @property
    def file(self) -> Path:
        return self.directory / "proxy.toml"

    def name(self, container: str) -> str:
        """The id under which this test's container is known; no two tests share one."""
        return f"{container}-{self.tests}"

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What was logged of this test's containers."""
        return [line for line in self.all_lines if line["container"].endswith(f"-{self.tests}")]

    def socket_of(self, container: str) -> Path:
        return self.directory / "sockets" / self.name(container) / "proxy.sock"

    async def start(self, *more: str, told: bytes = b"") -> None:
        """Start it, with `more` arguments and `told` on its standard input."""
        (self.directory / "sockets").mkdir(exist_ok=True)
        (self.directory / "state").mkdir(mode=0o700, exist_ok=True)
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "hakoiri.credential_proxy",
            "--sockets-dir",
            str(self.directory / "sockets"),
            "--control",
            str(self.control_path),
            "--file",
            str(self.file),
            "--state-dir",
            str(self.directory / "state"),
            *more,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **self.environ},
        )
        assert self.process.stdin is not None
        self.process.stdin.write(told)
        self.process.stdin.close()
        async with asyncio.timeout(READY_TIMEOUT_S):
            while not await self._answers():  # noqa: ASYNC110 - a process has no event to await
                await asyncio.sleep(0.02)

    async def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, "the proxy ended"
        try:
            _, writer = await asyncio.open_unix_connection(self.control_path)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await self.process.wait()

    async def end(self) -> None:
        """Kill it if it runs still, and read to the end what it said, so that no pipe is left."""
        if self.process is not None:
            await self.stop(signal.SIGKILL)
            await self.read_log()

    async def read_log(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self.more_lines:
                self.all_lines.append(json.loads(line))
                self.more_lines.notify_all()

    async def logged(self, **wanted: Any) -> dict[str, Any]:
        """Wait for the log line that has these fields."""

        def find() -> list[dict[str, Any]]:
            return [line for line in self.lines if wanted.items() <= line.items()]

        async with asyncio.timeout(READY_TIMEOUT_S), self.more_lines:
            await self.more_lines.wait_for(find)
            return find()[0]

    @asynccontextmanager
    async def client(self, socket: Path) -> AsyncIterator[aiohttp.ClientSession]:
        connector = aiohttp.UnixConnector(str(socket))
        async with aiohttp.ClientSession("http://proxy.test", connector=connector) as session:
            yield session

    async def control(
        self, method: str, path: str, body: str | BytesIO | None = None
    ) -> tuple[int, dict[str, Any]]:
        async with (
            self.client(self.control_path) as session,
            session.request(method, path, data=body) as answer,
        ):
            text = await answer.text()
            return answer.status, json.loads(text) if text else {}

    async def figures(self) -> str:
        """What `/metrics` on the control socket tells."""
        async with self.client(self.control_path) as session, session.get("/metrics") as answer:
            assert answer.status == 200
            return await answer.text()

    async def open(self, container: str, policy: dict[str, Any] | None = None) -> Path:
        """Open the socket of `container`, and bind it when there is a policy."""
        status, answer = await self.control("PUT", f"/sockets/{self.name(container)}")
        assert status == 200, answer
        if policy is not None:
            status, answer = await self.bind(container, policy)
            assert status == 204, answer
        return self.socket_of(container)

    async def unbind(self, container: str) -> int:
        return (await self.control("DELETE", f"/sockets/{self.name(container)}/binding"))[0]

    async def bind(
        self,
        container: str,
        policy: dict[str, Any],
        generation: int = 1,
        *,
        workspace: str | None = None,
        tenant: str = "default",
        traceparent: str | None = None,
    ) -> tuple[int, dict[str, Any]]:
        bind = Bind.model_validate(
            {
                "workspace": workspace or f"ws-{container}",
                "tenant": tenant,
                "generation": generation,
                "policy": policy,
                "traceparent": traceparent,
            }
        )
        path = f"/sockets/{self.name(container)}/binding"
        return await self.control("PUT", path, bind.model_dump_json())


def proxy_file(*, upstream_port: int, extra_ports: tuple[int, ...] = ()) -> str:
    allowed = ", ".join(f'"127.0.0.1:{port}"' for port in (upstream_port, *extra_ports))
    return f"""
[credentials.bedrock]
kind = "aws"
source = "static"
access_key_id_env = "TEST_ACCESS_KEY_ID"
secret_access_key_env = "TEST_SECRET_ACCESS_KEY"
session_token_env = "TEST_SESSION_TOKEN"
services = ["bedrock"]
regions = ["us-east-1"]
models = ["{MODEL}"]
endpoint = "http://127.0.0.1:{upstream_port}"

[credentials.anthropic]
kind = "header"
header = "x-api-key"
value_env = "TEST_API_KEY"
hosts = ["api.anthropic.com"]
endpoint = "http://127.0.0.1:{upstream_port}"

[credentials.absent]
kind = "header"
header = "x-api-key"
value_env = "TEST_NOT_SET"
hosts = ["absent.example.com"]

[network]
allow_addresses = [{allowed}]

[network.hosts]
"files.example.test" = "127.0.0.1"
"inside.example.test" = "10.0.0.1"
"""


def bedrock_policy(**more: Any) -> dict[str, Any]:
    return {"model": {"provider": "bedrock", "credential": "bedrock"}, **more}


def anthropic_policy(models: tuple[str, ...] = ()) -> dict[str, Any]:
    route = {"provider": "anthropic", "credential": "anthropic", "models": list(models)}
    return {"model": route}


def host_policy(host: str, port: int) -> dict[str, Any]:
    return {"rules": [{"host": host, "ports": [port]}]}


@dataclass
class Upstream:
    """A server on loopback that keeps what it was sent, and answers as a test wants."""

    port: int = 0
    requests: list[tuple[str, str, list[tuple[str, str]], bytes]] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read()
        target = request._message.path
        self.requests.append((request.method, target, list(request.headers.items()), body))
        if request.headers.get("accept") == "test/stream":
            return await self._stream(request)
        if request.headers.get("accept") == "test/flood":
            return await self._flood(request)
        if request.headers.get("accept") == "test/redirect":
            return web.Response(status=302, headers={"Location": "http://elsewhere.test/"})
        return web.json_response({"bytes": len(body)}, headers={"X-Upstream": "here"})

    async def _flood(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65536)
        except (asyncio.CancelledError, ConnectionError):
            self.gone.set()
            raise

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            await response.write(b"data: first\n\n")
            await self.release.wait()
            await response.write(b"data: last\n\n")
        except (asyncio.CancelledError, ConnectionError):
            self.gone.set()
            raise
        return response


@asynccontextmanager
async def running_upstream() -> AsyncIterator[Upstream]:
    state = Upstream()
    server = web.Server(state.handle, handler_cancellation=True, access_log=None)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    state.port = listening.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        await close_all()
        state.release.set()
        listening.close()
        await server.shutdown(1)
        await listening.wait_closed()


def make_proxy(directory: Path, upstream: Upstream) -> Proxy:
    proxy = Proxy(
        directory=directory,
        environ={
            "TEST_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "TEST_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "TEST_SESSION_TOKEN": SESSION_TOKEN,
            "TEST_API_KEY": API_KEY,
        },
    )
    proxy.file.write_text(proxy_file(upstream_port=upstream.port))
    proxy.file.chmod(0o600)
    return proxy


@pytest.fixture(scope="module")
async def shared_upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as state:
        yield state


@pytest.fixture
async def upstream(shared_upstream: Upstream) -> AsyncIterator[Upstream]:
    """The upstream, with nothing kept from the test before; connections of the test end with it."""
    shared_upstream.requests = []
    shared_upstream.release = asyncio.Event()
    shared_upstream.gone = asyncio.Event()
    yield shared_upstream
    await close_all()


@pytest.fixture(scope="module")
async def shared_proxy(
    tmp_path_factory: pytest.TempPathFactory, shared_upstream: Upstream
) -> AsyncIterator[Proxy]:
    proxy = make_proxy(tmp_path_factory.mktemp("proxy"), shared_upstream)
    try:
        await proxy.start()
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(proxy.read_log())
            yield proxy
            assert await proxy.stop() == 0
            await reading
    finally:
        await proxy.end()


@pytest.fixture
async def proxy(shared_proxy: Proxy, upstream: Upstream) -> AsyncIterator[Proxy]:
    """One proxy process for the module; each test has container ids and log lines of its own."""
    shared_proxy.tests += 1
    file = shared_proxy.file.read_text()
    yield shared_proxy
    shared_proxy.file.write_text(file)
    await shared_proxy.control("POST", "/reload")
    for line in (await shared_proxy.control("GET", "/stats"))[1]["sockets"]:
        await shared_proxy.control("DELETE", f"/sockets/{line['container']}")


@pytest.fixture
async def own_proxy(tmp_path: Path, upstream: Upstream) -> AsyncIterator[Proxy]:
    """A proxy for one test that stops or starts it; not started."""
    proxy = make_proxy(tmp_path, upstream)
    yield proxy
    await proxy.end()


@pytest.fixture
def now_s() -> list[float]:
    """The clock of the wired proxy's DNS cache."""
    return [0.0]


@pytest.fixture
async def wired(tmp_path: Path, upstream: Upstream, now_s: list[float]) -> AsyncIterator[Wired]:
    """The proxy without its process, allowed to reach the upstream's address."""
    text = f'[network]\nallow_addresses = ["127.0.0.1:{upstream.port}"]\n'
    async with AsyncExitStack() as stack:
        yield wire(stack, tmp_path, text, now_s)
