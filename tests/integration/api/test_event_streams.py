"""The API behind a real HTTP server, on a real database."""

import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from tests.unit.host.api.served import (
    CONFINED,
    MemoryFiles,
    ScriptedCollection,
    blocks,
    git_import,
)
from tests.unit.host.containers.fleet import Fleet
from tests.unit.host.conversations.scripted import (
    LIMITS,
    NOW,
    ScriptedAgent,
    ScriptedContainers,
    ScriptedExplanations,
    ScriptedFiles,
    ScriptedModel,
    Step,
    World,
)

from hakoiri.host.adapters.audit_reader import AuditReader
from hakoiri.host.adapters.sql.conversation_store import SqlConversationStore
from hakoiri.host.adapters.sql.database import Database, open_database
from hakoiri.host.adapters.sql.key_store import SqlKeyStore
from hakoiri.host.adapters.sql.policy_store import SqlPolicyStore
from hakoiri.host.adapters.sql.workspace_store import SqlWorkspaceStore
from hakoiri.host.api.application import create_app
from hakoiri.host.api.last_requests import LastRequests
from hakoiri.host.api.uploads import Uploads
from hakoiri.host.containers.pool_service import PoolService
from hakoiri.host.containers.testing import MemoryPoolStore
from hakoiri.host.conversations.archive_import import ArchiveImport
from hakoiri.host.conversations.conversation_service import ConversationService
from hakoiri.host.conversations.event_feed import EventFeed
from hakoiri.host.conversations.execute_service import ExecuteService
from hakoiri.host.conversations.keys import KeyRing
from hakoiri.host.conversations.policy_service import PolicyService
from hakoiri.host.conversations.workspace_services import make_workspace_services
from hakoiri.host.files.archive_limits import ImportLimits
from hakoiri.host.telemetry.conditions import PartAnswer
from hakoiri.wire.events import Result, TextDelta
from hakoiri.wire.policy import DENY_ALL

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def no_usage(_: str) -> None:
    return None


async def no_figures() -> str:
    return ""


async def no_reasons() -> list[PartAnswer]:
    return []


@asynccontextmanager
async def served(directory: Path, containers: ScriptedContainers) -> AsyncIterator[int]:
    """Serve on a free port of loopback; yield the port."""
    database = await open_database(f"sqlite:///{directory}/hakoiri.db")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        app, service = make_app(database, directory, containers)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        )
        await stack.enter_async_context(service)
        group = await stack.enter_async_context(anyio.create_task_group())
        group.start_soon(server.serve, [listener])
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True


def make_app(
    database: Database, directory: Path, containers: ScriptedContainers
) -> tuple[FastAPI, ExecuteService]:
    """The server's API on a database, and what runs its turns."""
    store = SqlConversationStore(database)
    feed = EventFeed(store=store)
    policies = PolicyService(
        store=SqlPolicyStore(database), containers=containers, default_policy=DENY_ALL
    )
    service = ExecuteService(
        store=store,
        feed=feed,
        policies=policies,
        containers=containers,
        files=ScriptedFiles(),
        chat_model=ScriptedModel(),
        limits=LIMITS,
        clock=lambda: NOW,
        runtimes=("runc",),
    )
    workspaces = make_workspace_services(
        store=SqlWorkspaceStore(database),
        conversations=store,
        policies=policies,
        containers=containers,
        files=ScriptedFiles(),
        editable=ScriptedFiles(),
        clock=lambda: NOW,
        monotonic=time.monotonic,
        runtimes=("runc",),
    )
    keeper = Fleet(directory / "live").keeper()
    app = create_app(
        service=service,
        conversations=ConversationService(
            store=store, feed=feed, policies=policies, clock=lambda: NOW, runtimes=("runc",)
        ),
        keys=KeyRing(store=SqlKeyStore(database), clock=lambda: NOW),
        policies=policies,
        files=MemoryFiles(),
        workspaces=workspaces,
        points=World().points,
        uploads=Uploads(directory, limit_bytes=1000),
        imports=ArchiveImport(
            edits=workspaces.edits,
            files=ScriptedFiles(),
            limits=ImportLimits(members=1, file_bytes=1, total_bytes=1, depth=1),
            directory=directory,
        ),
        git_imports=git_import(World(), ScriptedExplanations()),
        collection=ScriptedCollection(),
        readiness=no_reasons,
        degraded=list,
        box_probe=dict,
        confinement=CONFINED,
        pool=PoolService(
            keeper=keeper, store=MemoryPoolStore(), from_settings=keeper.configuration
        ),
        figures=no_figures,
        workspace_figures=no_figures,
        usage_of=no_usage,
        hindrance=lambda: None,
        find_audited=AuditReader(None).find,
        require_keys=False,
        requests=LastRequests(),
    )
    return app, service


@asynccontextmanager
async def client_of(port: int) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        yield client


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(60):
        while not await condition():
            await anyio.lowlevel.checkpoint()


async def is_over(client: httpx2.AsyncClient, path: str) -> bool:
    return (await client.get(path)).json()["running"] is False


async def test_a_turn_goes_on_when_its_client_goes_away_and_is_replayed_to_the_next(
    tmp_path: Path,
) -> None:
    go_on = anyio.Event()
    script: list[Step] = [(1, TextDelta(text="a")), go_on, (2, Result(text="a"))]
    containers = ScriptedContainers(agent=ScriptedAgent(script))
    async with served(tmp_path, containers) as port, client_of(port) as client:
        path = (await client.post("/v1/conversations", json={})).headers["location"]
        sse = {"Accept": "text/event-stream"}
        async with client.stream(
            "POST", f"{path}/messages", json={"text": "hi"}, headers=sse
        ) as answer:
            async for piece in answer.aiter_text():
                if "text_delta" in piece:
                    break
        go_on.set()
        await until(lambda: is_over(client, path))
        seen = ""
        async with client.stream("GET", f"{path}/events", headers={"Last-Event-ID": "1"}) as answer:
            async for piece in answer.aiter_text():
                seen += piece
                if "event: result" in seen:
                    break
    assert [int(block.id) for block in blocks(seen)] == [2, 3, 4, 5]


async def test_a_reader_that_never_reads_stops_no_turn(tmp_path: Path) -> None:
    script: list[Step] = [(n, TextDelta(text="x" * 500_000)) for n in range(1, 41)]
    agent = ScriptedAgent([*script, (41, Result(text=""))])
    async with (
        served(tmp_path, ScriptedContainers(agent=agent)) as port,
        client_of(port) as client,
    ):
        path = (await client.post("/v1/conversations", json={})).headers["location"]
        async with await anyio.connect_tcp("127.0.0.1", port) as stuck:
            await stuck.send(f"GET {path}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            await client.post(f"{path}/messages", json={"text": "hi"})
            await until(lambda: is_over(client, path))
            found = (await client.get(path)).json()
    assert found["last_event"] == 44


async def test_the_server_can_stop_while_readers_watch(tmp_path: Path) -> None:
    containers = ScriptedContainers()
    async with kept_open() as streams, served(tmp_path, containers) as port:
        async with client_of(port) as client:
            path = (await client.post("/v1/conversations", json={})).headers["location"]
        for _ in range(5):
            stream = await anyio.connect_tcp("127.0.0.1", port)
            streams.append(stream)
            await stream.send(f"GET {path}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert b"200 OK" in await stream.receive()


@asynccontextmanager
async def kept_open() -> AsyncIterator[list[anyio.abc.SocketStream]]:
    streams: list[anyio.abc.SocketStream] = []
    try:
        yield streams
    finally:
        for stream in streams:
            await stream.aclose()
