"""A workspace's files over HTTP: read from its newest recovery point, written into the next.

What an agent wrote is hostile to whoever opens it: it is served as a download, never shown. Paths
are looked up in the recovery point's list; nothing is resolved against a file system.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Annotated, Final, Literal, Protocol
from urllib.parse import quote, unquote_to_bytes

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

from hakoiri.host.api.byte_range import ByteRange, UnsatisfiableRangeError, parse_range
from hakoiri.host.api.folder_downloads import ArchiveKind, FolderDownloads, ZippedFolder
from hakoiri.host.api.problems import RefusedError, problem_response
from hakoiri.host.api.uploads import Uploads
from hakoiri.host.api.workspace_places import Place, places
from hakoiri.host.conversations.archive_import import ArchiveImport
from hakoiri.host.conversations.file_edits import FileEdits
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.workspace_saver import WorkspaceSaver
from hakoiri.host.conversations.workspace_services import WorkspaceServices
from hakoiri.host.files.paths import PathError, bytes_of, check_path
from hakoiri.host.files.worker_thread import run_in_thread
from hakoiri.wire.problems import Problem

DOWNLOAD_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cache-Control": "no-store",
}

BYTES_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string"}}},
    }
}


class StoredFile(BaseModel):
    """One entry of a recovery point's workspace. `path` is its canonical text."""

    path: str
    kind: str
    size_bytes: int


class FileList(BaseModel):
    """Sorted as the recovery point has them; empty before the first."""

    files: list[StoredFile]


class FileChange(BaseModel):
    """The recovery point that holds the change; null while a turn runs, which makes it."""

    recovery_point: str | None


class ImportedArchive(BaseModel):
    """What became of an archive; some of what is neither file nor folder is named."""

    model_config = ConfigDict(from_attributes=True)

    recovery_point: str | None
    files: int
    file_bytes: int
    left_out: int
    left_out_names: list[str]


class StoredFiles(Protocol):
    """The newest recovery point of a workspace. Errors are `FilesError`."""

    async def listing(self, *, tenant: str, workspace_id: str) -> Sequence[StoredFile]:
        """All entries; empty before the first recovery point."""

    async def find(self, *, tenant: str, workspace_id: str, path: str) -> StoredFile | None:
        """One entry; None if there is none of that path."""

    async def folder(self, *, tenant: str, workspace_id: str, path: str) -> ZippedFolder:
        """A folder as a zip, all of them if the path is empty; `NoSuchFileError`."""

    def read_file(
        self, *, tenant: str, workspace_id: str, path: str, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """The bytes of one file from `start` up to `end` (default: its end), in chunks."""


def router(
    *,
    services: WorkspaceServices,
    files: StoredFiles,
    uploads: Uploads,
    imports: ArchiveImport,
) -> APIRouter:
    """`…/files` in both places."""
    routes = APIRouter()
    downloads = FolderDownloads()
    for place in places(services.workspaces):
        _add_reading(routes, place, files, services.saver, downloads)
        _add_writing(routes, place, services.edits, uploads, imports)
    return routes


def _add_reading(
    routes: APIRouter,
    place: Place,
    files: StoredFiles,
    saver: WorkspaceSaver,
    downloads: FolderDownloads,
) -> None:
    Found = Annotated[Workspace, Depends(place.find)]  # noqa: N806 - a type
    base = f"{place.path}/files"

    async def zipped(workspace: Workspace, path: str) -> Response:
        await saver.try_flush(workspace.id)
        folder = await files.folder(tenant=workspace.tenant, workspace_id=workspace.id, path=path)
        name = path.rpartition("/")[2] or workspace.id
        return await downloads.response(
            workspace.tenant, folder, name=name, headers=DOWNLOAD_HEADERS
        )

    @routes.get(
        base,
        operation_id=place.operation("list_files"),
        response_model=FileList,
        responses={200: {"content": {"application/octet-stream": {}}}},
    )
    async def list_files(workspace: Found, archive: ArchiveKind | None = None) -> Response:
        """List the files as the last turn or command left them, or download them in one archive."""
        if archive is not None:
            return await zipped(workspace, "")
        await saver.try_flush(workspace.id)
        listed = await files.listing(tenant=workspace.tenant, workspace_id=workspace.id)
        # not by the framework, which would go through all of them on the loop, and twice
        document = await run_in_thread(lambda: FileList(files=[*listed]).model_dump_json())
        return Response(document, media_type="application/json")

    @routes.get(
        base + "/{path:path}",
        operation_id=place.operation("get_file"),
        response_class=StreamingResponse,
        responses={
            200: {"content": {"application/octet-stream": {}}},
            206: {
                "description": "The range that was asked for",
                "content": {"application/octet-stream": {}},
            },
        },
    )
    async def get_file(
        workspace: Found,
        path: str,
        asked: Annotated[str | None, Header(alias="Range")] = None,
        archive: ArchiveKind | None = None,
    ) -> Response:
        """Download one file, or one range of its bytes, or a folder in one archive."""
        if archive is not None:
            return await zipped(workspace, path)
        await saver.try_flush(workspace.id)
        entry = await files.find(tenant=workspace.tenant, workspace_id=workspace.id, path=path)
        if entry is None or entry.kind != "file":
            raise _no_such_file()
        try:
            byte_range = parse_range(asked, entry.size_bytes)
        except UnsatisfiableRangeError:
            return _unsatisfiable(entry)
        chunks = files.read_file(
            tenant=workspace.tenant,
            workspace_id=workspace.id,
            path=path,
            start=byte_range.start if byte_range else 0,
            end=byte_range.end if byte_range else None,
        )
        first = await anext(chunks, b"")  # what fails at once is still told as a problem
        return download(entry, first, chunks, byte_range)


def _add_writing(
    routes: APIRouter, place: Place, edits: FileEdits, uploads: Uploads, imports: ArchiveImport
) -> None:
    Found = Annotated[Workspace, Depends(place.find)]  # noqa: N806 - a type
    path_of_one = f"{place.path}/files/{{path:path}}"

    async def unpacked(workspace: Workspace, folder: bytes, request: Request) -> ImportedArchive:
        async with uploads.received(request, tenant=workspace.tenant) as upload:
            return ImportedArchive.model_validate(await imports.run(workspace, folder, upload))

    @routes.put(
        f"{place.path}/files",
        operation_id=place.operation("import_archive"),
        openapi_extra=BYTES_BODY,
    )
    async def import_archive(
        workspace: Found, request: Request, archive: Literal["unpack"]
    ) -> ImportedArchive:
        """Unpack an archive into all of `/workspace`, in place of what is there."""
        del archive
        return await unpacked(workspace, b"", request)

    @routes.put(path_of_one, operation_id=place.operation("put_file"), openapi_extra=BYTES_BODY)
    async def put_file(
        workspace: Found, path: str, request: Request, archive: Literal["unpack"] | None = None
    ) -> FileChange | ImportedArchive:
        """Write one file and the directories on its way, or unpack an archive into a folder."""
        raw = _path_in(request, path)
        if archive is not None:
            return await unpacked(workspace, raw, request)
        async with uploads.received(request, tenant=workspace.tenant) as upload:
            return FileChange(recovery_point=await edits.put(workspace, raw, upload))

    @routes.delete(path_of_one, operation_id=place.operation("delete_file"))
    async def delete_file(workspace: Found, path: str, request: Request) -> FileChange:
        """Remove a file, or a directory with all in it."""
        raw = _path_in(request, path)
        return FileChange(recovery_point=await edits.remove(workspace, raw))


def _path_in(request: Request, path: str) -> bytes:
    """Return the path whose canonical text the request names; `PathError`.

    The server replaces what is not UTF-8 in a URL, and another file would be meant.
    """
    try:
        unquote_to_bytes(request.scope.get("raw_path", b"")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise PathError("a path's bytes that are not UTF-8 are written %25XX in a URL") from error
    return check_path(bytes_of(path))


def download(
    entry: StoredFile, first: bytes, rest: AsyncIterator[bytes], byte_range: ByteRange | None
) -> StreamingResponse:
    """Return a file, or the range of it that `first` and `rest` are, as a download."""

    async def body() -> AsyncGenerator[bytes, None]:
        yield first
        async for chunk in rest:
            yield chunk

    name = quote(entry.path.rpartition("/")[2], safe="")
    length = entry.size_bytes
    headers = {
        **DOWNLOAD_HEADERS,
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
    }
    if byte_range is not None:
        length = byte_range.end - byte_range.start
        headers["Content-Range"] = byte_range.content_range
    return StreamingResponse(
        body(),
        status_code=200 if byte_range is None else 206,
        media_type="application/octet-stream",
        headers={**headers, "Content-Length": str(length)},
    )


def _unsatisfiable(entry: StoredFile) -> Response:
    problem = Problem.of(
        "range-not-satisfiable",
        title="The range lies outside of the file",
        status=416,
        detail=f"The file has {entry.size_bytes} bytes.",
    )
    return problem_response(problem, headers={"Content-Range": f"bytes */{entry.size_bytes}"})


def _no_such_file() -> RefusedError:
    return RefusedError(
        Problem.of(
            "no-such-file",
            title="No such file",
            status=404,
            detail="The newest recovery point has no such file.",
        )
    )
