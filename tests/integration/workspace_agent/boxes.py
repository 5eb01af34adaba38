"""Sealed containers of the workspace image, with a model behind their proxy socket."""

import asyncio
import subprocess
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hakoiri.host.adapters.agent_client import AgentClient
from hakoiri.host.containers.ports import AgentUnreachableError
from hakoiri.wire.agent import PROXY_SOCKET_NAME, AgentOptions, RunTurn
from hakoiri.wire.events import AgentEvent, SessionStarted
from hakoiri.workspace_agent.__main__ import bind_socket

RELAY_URL = "http://127.0.0.1:3128"
CHUNK_BYTES = 64 * 1024
FILTER = Path(__file__).parents[3] / "deployment/seccomp/workspace-seccomp.json"


def docker(*arguments: str) -> str:
    finished = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


@dataclass
class Box:
    """One container and the client of its agent; remembers the session."""

    name: str
    directory: Path
    agent: AgentClient
    session_id: str | None = None

    async def turn(self, text: str, *, options: AgentOptions | None = None) -> list[AgentEvent]:
        """Run a turn to its end; return its events."""
        return [event async for _, event in self.stream(text, options=options)]

    async def stream(
        self, text: str, *, turn_id: str | None = None, options: AgentOptions | None = None
    ) -> AsyncGenerator[tuple[int, AgentEvent], None]:
        request = RunTurn(
            turn_id=turn_id or uuid.uuid4().hex,
            text=text,
            session_id=self.session_id,
            options=options or AgentOptions(),
        )
        async for number, event in self.agent.run_turn(request):
            if isinstance(event, SessionStarted):
                self.session_id = event.session_id
            yield number, event

    def running(self, pattern: str) -> list[str]:
        """The ids of the container's processes whose command line holds `pattern`."""
        lines = docker("top", self.name, "-eo", "pid,args").splitlines()
        return [line.split()[0] for line in lines if pattern in line]

    def stop(self) -> int:
        """Send SIGTERM; return the exit code (137 if it had to be killed)."""
        docker("stop", "--time=10", self.name)
        return int(docker("inspect", "--format={{.State.ExitCode}}", self.name))


@contextmanager
def container(image: str, directory: Path, environment: dict[str, str]) -> Iterator[str]:
    name = f"hakoiri-test-{uuid.uuid4().hex[:12]}"
    mounts = {
        "agent": "/run/hakoiri/agent",
        "proxy": "/run/hakoiri/proxy:ro",
        "home": "/home/agent",
        "workspace": "/workspace",
    }
    for part in mounts:
        (directory / part).mkdir(exist_ok=True)
        (directory / part).chmod(0o777)
    try:
        docker(
            *("run", "--detach", f"--name={name}", "--network=none", "--read-only", "--init"),
            *("--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp:mode=1777"),
            f"--security-opt=seccomp={FILTER}",
            *(f"--volume={directory / part}:{target}" for part, target in mounts.items()),
            *(f"--env={key}={value}" for key, value in environment.items()),
            image,
        )
        yield name
    finally:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)


@asynccontextmanager
async def box(
    image: str, directory: Path, *, model_port: int | None = None, api_key: str = "none"
) -> AsyncIterator[Box]:
    """A healthy container; its proxy socket leads to the model, or to nothing."""
    environment = {
        "ANTHROPIC_BASE_URL": RELAY_URL,
        "ANTHROPIC_API_KEY": api_key,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "DISABLE_AUTOUPDATER": "1",
    }
    with container(image, directory, environment) as name:
        agent = AgentClient(directory / "agent")
        try:
            await _until_healthy(agent)
            async with _way_out(directory / "proxy" / PROXY_SOCKET_NAME, model_port):
                yield Box(name, directory, agent)
        finally:
            await agent.close()


async def _until_healthy(agent: AgentClient) -> None:
    for _ in range(1200):
        try:
            await agent.health()
        except AgentUnreachableError:
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError("the agent never got healthy")


@asynccontextmanager
async def _way_out(socket: Path, port: int | None) -> AsyncIterator[None]:
    """Stand in for the credential proxy: carry the socket's connections to a local port."""
    if port is None:
        yield
        return

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        model_reader, model_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, model_writer))
                group.create_task(_copy(model_reader, writer))
        except* OSError:
            pass
        finally:
            model_writer.transport.abort()
            writer.transport.abort()

    with bind_socket(socket) as listener:
        async with await asyncio.start_unix_server(carry, sock=listener):
            yield


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()
