"""The application over ASGI: a client for whole answers, and readers for endless ones."""

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx2
from fastapi import FastAPI
from tests.unit.host.containers import fleet
from tests.unit.host.conversations.scripted import NOW, ScriptedExplanations, World

from hakoiri.audit.query import AuditQuery
from hakoiri.host.api.application import create_app
from hakoiri.host.api.files import StoredFile
from hakoiri.host.api.folder_downloads import ZippedFolder
from hakoiri.host.api.last_requests import LastRequests
from hakoiri.host.api.request_tracing import Traces
from hakoiri.host.api.uploads import Uploads
from hakoiri.host.containers.box_probe import ProbeTold, Told
from hakoiri.host.containers.confinement import Confinement, ConfinementState
from hakoiri.host.containers.pool_service import PoolService
from hakoiri.host.containers.testing import MemoryPoolStore
from hakoiri.host.conversations.archive_import import ArchiveImport
from hakoiri.host.conversations.audit_view import AuditPage
from hakoiri.host.conversations.git_import import GitImport
from hakoiri.host.conversations.keys import KeyRing
from hakoiri.host.conversations.testing import MemoryKeys
from hakoiri.host.files.archive_limits import ImportLimits
from hakoiri.host.files.collection_ports import Amount, CollectionReport
from hakoiri.host.files.ports import FilesError, NoSuchFileError
from hakoiri.host.telemetry.conditions import Degradation, PartAnswer
from hakoiri.host.usage.figures import Usage
from hakoiri.wire.sse import SseBlock, SseDecoder

FILE_LIMIT_BYTES = 1000
CONFINED = Confinement(ConfinementState.CONFINED, "workspace-container", "the engine applies it")


class MemoryFiles:
    """Files by path; a path in `damaged` fails when it is read."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.damaged: set[str] = set()
        self.hold: anyio.Event | None = None

    async def listing(self, *, tenant: str, workspace_id: str) -> Sequence[StoredFile]:
        return [
            StoredFile(path="link", kind="symlink", size_bytes=0),
            *(
                StoredFile(path=path, kind="file", size_bytes=len(data))
                for path, data in self.contents.items()
            ),
        ]

    async def find(self, *, tenant: str, workspace_id: str, path: str) -> StoredFile | None:
        listed = await self.listing(tenant=tenant, workspace_id=workspace_id)
        return next((entry for entry in listed if entry.path == path), None)

    async def folder(self, *, tenant: str, workspace_id: str, path: str) -> ZippedFolder:
        if path not in ("", "web"):
            raise NoSuchFileError(path)
        return ZippedFolder(self._zip(path), left_out=2)

    async def _zip(self, path: str) -> AsyncIterator[bytes]:
        if path in self.damaged:
            raise FilesError("blob is damaged")
        yield b"PK"
        if self.hold is not None:
            await self.hold.wait()
        yield b"end"

    async def read_file(
        self, *, tenant: str, workspace_id: str, path: str, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        if path in self.damaged:
            raise FilesError("blob is damaged")
        data = self.contents[path][start:end]
        yield data[:3]
        yield data[3:]


class ScriptedCollection:
    """A collection that tells the same of each pass, or fails."""

    def __init__(self) -> None:
        self.passes: list[bool] = []
        self.failure: FilesError | None = None

    async def collect(self, *, is_dry: bool = False) -> CollectionReport:
        if self.failure is not None:
            raise self.failure
        self.passes.append(is_dry)
        return CollectionReport(started=NOW, ended=NOW, is_dry=is_dry, left=Amount(2, 30))


def archive_import(world: World) -> ArchiveImport:
    return ArchiveImport(
        edits=world.workspaces.edits,
        files=world.files,
        limits=ImportLimits(members=20, file_bytes=5_000, total_bytes=9_000, depth=4),
        directory=Path(tempfile.gettempdir()),
    )


def git_import(world: World, proxy: ScriptedExplanations) -> GitImport:
    return GitImport(
        commands=world.workspaces.commands,
        edits=world.workspaces.edits,
        policies=world.policies,
        containers=world.containers,
        proxy=proxy,
        audit=world.audit,
    )


class Served:
    """A world behind HTTP."""

    def __init__(
        self,
        world: World | None = None,
        *,
        require_keys: bool = False,
        confinement: Confinement = CONFINED,
        traces: Traces | None = None,
    ) -> None:
        self.world = world or World()
        self.keys = KeyRing(store=MemoryKeys(), clock=lambda: NOW)
        self.files = MemoryFiles()
        self.collection = ScriptedCollection()
        self.explained = ScriptedExplanations()
        self.reasons: list[str] = []
        self.degraded: list[Degradation] = []
        self.hindrance: str | None = None
        self.probe_told: Told = {"runc": ProbeTold("off")}
        self.pool_store = MemoryPoolStore()
        keeper = fleet.Fleet(Path("/nonexistent")).keeper()
        self.pool = PoolService(
            keeper=keeper, store=self.pool_store, from_settings=keeper.configuration
        )
        self.figures = "hakoiri_turns_total 1\n"
        self.workspace_figures = "hakoiri_workspaces_not_told 0\n"
        self.usages: dict[str, Usage] = {}
        self.audit_asked: list[AuditQuery] = []
        self.audit_answer: AuditPage | Exception = AuditPage(events=[], next=None)
        self.requests = LastRequests()
        self.app: FastAPI = create_app(
            service=self.world.service,
            conversations=self.world.conversations,
            keys=self.keys,
            policies=self.world.policies,
            files=self.files,
            workspaces=self.world.workspaces,
            points=self.world.points,
            uploads=Uploads(Path(tempfile.gettempdir()), limit_bytes=FILE_LIMIT_BYTES),
            imports=archive_import(self.world),
            git_imports=git_import(self.world, self.explained),
            collection=self.collection,
            readiness=self._readiness,
            degraded=lambda: self.degraded,
            box_probe=lambda: self.probe_told,
            confinement=confinement,
            pool=self.pool,
            figures=self._figures,
            workspace_figures=self._workspace_figures,
            usage_of=self._usage_of,
            hindrance=lambda: self.hindrance,
            find_audited=self._find_audited,
            require_keys=require_keys,
            requests=self.requests,
            traces=traces,
        )

    async def _readiness(self) -> list[PartAnswer]:
        return [PartAnswer("engine", tuple(self.reasons)), PartAnswer("proxy")]

    async def _figures(self) -> str:
        return self.figures

    async def _workspace_figures(self) -> str:
        return self.workspace_figures

    async def _find_audited(self, query: AuditQuery) -> AuditPage:
        self.audit_asked.append(query)
        if isinstance(self.audit_answer, Exception):
            raise self.audit_answer
        return self.audit_answer

    async def _usage_of(self, workspace_id: str) -> Usage | None:
        return self.usages.get(workspace_id)

    @asynccontextmanager
    async def client(self, **headers: str) -> AsyncIterator[httpx2.AsyncClient]:
        transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=False)
        async with (
            self.world.workspaces.saver,
            self.world.service,
            httpx2.AsyncClient(
                transport=transport, base_url="http://localhost:8420", headers=headers
            ) as client,
        ):
            yield client


def problem(response: httpx2.Response) -> str:
    """Check that the answer is a problem and return its code."""
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == response.status_code
    assert set(document) == {"type", "title", "status", "detail"}
    return str(document["type"]).removeprefix("urn:hakoiri:problem:")


def blocks(text: str) -> list[SseBlock]:
    return SseDecoder(line_limit_bytes=10_000_000).feed(text.encode())


class StreamReader:
    """One GET as a server would run it; reads only when asked, and can go away."""

    def __init__(self, app: FastAPI, path: str, *, headers: dict[str, str] | None = None) -> None:
        self._app = app
        self._path, _, self._query = path.partition("?")
        self._headers = {"host": "localhost"} | (headers or {})
        self._sent, self._received = anyio.create_memory_object_stream[dict[str, Any]](0)
        self._gone = anyio.Event()

    async def run(self) -> None:
        """Serve the request until the client goes away or the answer ends."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": self._path,
            "raw_path": self._path.encode(),
            "query_string": self._query.encode(),
            "root_path": "",
            "headers": [(k.encode(), v.encode()) for k, v in self._headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8420),
        }
        async with self._sent:
            await self._app(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        # As a server does: what is written to a closed connection is dropped.
        with suppress(anyio.BrokenResourceError):
            await self._sent.send(message)

    async def next(self) -> dict[str, Any]:
        """Take the next ASGI message."""
        return await self._received.receive()

    async def text(self) -> str:
        """Take the next piece of the body."""
        message = await self.next()
        assert message["type"] == "http.response.body"
        return bytes(message["body"]).decode()

    def leave(self) -> None:
        """Close the connection."""
        self._gone.set()
        self._received.close()
