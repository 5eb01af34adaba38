"""A workspace's files over HTTP, from its newest recovery point.

What an agent wrote is hostile to whoever opens it: it is served as a download, never shown. Paths
are looked up in the recovery point's list; nothing is resolved against a file system.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Annotated, Final, Protocol
from urllib.parse import quote

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from hakoiri.host.api.problems import RefusedError
from hakoiri.host.api.workspace_places import Place, places
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.workspace_saver import WorkspaceSaver
from hakoiri.host.conversations.workspace_services import WorkspaceServices
from hakoiri.wire.problems import Problem

DOWNLOAD_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cache-Control": "no-store",
}


class StoredFile(BaseModel):
    """One entry of a recovery point's workspace. `path` is its canonical text."""

    path: str
    kind: str
    size_bytes: int


class FileList(BaseModel):
    """Sorted as the recovery point has them; empty before the first."""

    files: list[StoredFile]


class StoredFiles(Protocol):
    """The newest recovery point of a workspace. Errors are `FilesError`."""

    async def listing(self, *, tenant: str, workspace_id: str) -> Sequence[StoredFile]:
        """All entries; empty before the first recovery point."""

    def read_file(self, *, tenant: str, workspace_id: str, path: str) -> AsyncIterator[bytes]:
        """The bytes of one file, in chunks."""


def router(*, services: WorkspaceServices, files: StoredFiles) -> APIRouter:
    """`…/files` in both places."""
    routes = APIRouter()
    for place in places(services.workspaces):
        _add(routes, place, files, services.saver)
    return routes


def _add(routes: APIRouter, place: Place, files: StoredFiles, saver: WorkspaceSaver) -> None:
    Found = Annotated[Workspace, Depends(place.find)]  # noqa: N806 - a type
    base = f"{place.path}/files"

    async def listing(workspace: Workspace) -> Sequence[StoredFile]:
        await saver.try_flush(workspace.id)
        return await files.listing(tenant=workspace.tenant, workspace_id=workspace.id)

    @routes.get(base, operation_id=place.operation("list_files"))
    async def list_files(workspace: Found) -> FileList:
        """List the files as the last turn or command left them."""
        return FileList(files=[*await listing(workspace)])

    @routes.get(
        base + "/{path:path}",
        operation_id=place.operation("get_file"),
        response_class=StreamingResponse,
        responses={200: {"content": {"application/octet-stream": {}}}},
    )
    async def get_file(workspace: Found, path: str) -> StreamingResponse:
        """Download one file."""
        found = await listing(workspace)
        entry = next((item for item in found if item.path == path and item.kind == "file"), None)
        if entry is None:
            raise _no_such_file()
        chunks = files.read_file(tenant=workspace.tenant, workspace_id=workspace.id, path=path)
        first = await anext(chunks, b"")  # what fails at once is still told as a problem
        return _download(entry, first, chunks)


def _download(entry: StoredFile, first: bytes, rest: AsyncIterator[bytes]) -> StreamingResponse:
    async def body() -> AsyncGenerator[bytes, None]:
        yield first
        async for chunk in rest:
            yield chunk

    name = quote(entry.path.rpartition("/")[2], safe="")
    return StreamingResponse(
        body(),
        media_type="application/octet-stream",
        headers={
            **DOWNLOAD_HEADERS,
            "Content-Length": str(entry.size_bytes),
            "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        },
    )


def _no_such_file() -> RefusedError:
    return RefusedError(
        Problem.of(
            "no-such-file",
            title="No such file",
            status=404,
            detail="The newest recovery point has no such file.",
        )
    )
