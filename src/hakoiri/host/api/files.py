"""A conversation's files over HTTP, from its newest recovery point.

What an agent wrote is hostile to whoever opens it: it is served as a download, never shown. Paths
are looked up in the recovery point's list; nothing is resolved against a file system.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Final, Protocol
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from hakoiri.host.api.authentication import Tenant
from hakoiri.host.api.conversation_ids import ConversationId
from hakoiri.host.api.problems import RefusedError
from hakoiri.host.conversations.conversation_service import ConversationService
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


def router(*, conversations: ConversationService, files: StoredFiles) -> APIRouter:
    """`/v1/conversations/{id}/workspace/files`."""
    routes = APIRouter(prefix="/v1/conversations/{conversation_id}/workspace/files")

    @routes.get("")
    async def list_files(tenant: Tenant, conversation_id: ConversationId) -> FileList:
        """List the files as the last turn left them."""
        workspace_id = await _workspace(conversations, tenant, conversation_id)
        if workspace_id is None:
            return FileList(files=[])
        return FileList(files=[*await files.listing(tenant=tenant, workspace_id=workspace_id)])

    @routes.get(
        "/{path:path}",
        response_class=StreamingResponse,
        responses={200: {"content": {"application/octet-stream": {}}}},
    )
    async def get_file(
        tenant: Tenant, conversation_id: ConversationId, path: str
    ) -> StreamingResponse:
        """Download one file."""
        workspace_id = await _workspace(conversations, tenant, conversation_id)
        if workspace_id is None:
            raise _no_such_file()
        found = await files.listing(tenant=tenant, workspace_id=workspace_id)
        entry = next((item for item in found if item.path == path and item.kind == "file"), None)
        if entry is None:
            raise _no_such_file()
        chunks = files.read_file(tenant=tenant, workspace_id=workspace_id, path=path)
        first = await anext(chunks, b"")  # what fails at once is still told as a problem
        return _download(entry, first, chunks)

    return routes


async def _workspace(
    conversations: ConversationService, tenant: str, conversation_id: str
) -> str | None:
    found = await conversations.get(tenant=tenant, conversation_id=conversation_id)
    return found.workspace_id


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
