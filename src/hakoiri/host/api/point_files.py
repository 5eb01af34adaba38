"""What is in recovery points over HTTP: what differs between two, and single files of one."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from hakoiri.host.api.files import DOWNLOAD_HEADERS, StoredFile, download
from hakoiri.host.api.recovery_points import PointId, point_id
from hakoiri.host.api.workspace_places import Place, places
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.point_service import PointService
from hakoiri.host.conversations.workspace_service import WorkspaceService
from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.paths import bytes_of, check_path, text_of
from hakoiri.host.files.point_diff import Change, Difference

DIFF_LIMIT: Final = 1000


class EntryDocument(BaseModel):
    """One path as a point has it. `mode` is octal; `sha256` only of files."""

    kind: str
    mode: str
    size_bytes: int
    sha256: str | None


class ChangeDocument(BaseModel):
    """One path that differs. `before` is null for what was added, `after` for what is gone."""

    path: str
    change: Literal["added", "removed", "content", "mode", "kind"]
    before: EntryDocument | None
    after: EntryDocument | None


class DiffDocument(BaseModel):
    """What differs, by path. The counts are of all, the changes of a page.

    `next` goes into `?after=` for the rest; null at the end. `memory_changed` tells whether the
    agent's home or session differ.
    """

    added: int
    removed: int
    changed: int
    memory_changed: bool
    changes: list[ChangeDocument]
    next: str | None


def router(*, workspaces: WorkspaceService, points: PointService) -> APIRouter:
    """`…/recovery-points/{id}/diff` and `…/files/{path}` in both places."""
    routes = APIRouter()
    for place in places(workspaces):
        _add_diff(routes, place, points)
        _add_file(routes, place, points)
    return routes


def _add_diff(routes: APIRouter, place: Place, points: PointService) -> None:
    @routes.get(
        f"{place.path}/recovery-points/{{recovery_point}}/diff",
        operation_id=place.operation("diff_recovery_points"),
    )
    async def diff_recovery_points(
        workspace: Annotated[Workspace, Depends(place.find)],
        recovery_point: PointId,
        to: str | None = None,
        limit: Annotated[int, Query(ge=1, le=DIFF_LIMIT)] = DIFF_LIMIT,
        after: str | None = None,
    ) -> DiffDocument:
        """Tell what differs from this point to another, or to the newest. Reads no file."""
        difference = await points.difference(
            workspace,
            recovery_point,
            None if to is None else point_id(to),
            limit=limit,
            beyond=None if after is None else check_path(bytes_of(after)),
        )
        return _document(difference)


def _add_file(routes: APIRouter, place: Place, points: PointService) -> None:
    @routes.get(
        f"{place.path}/recovery-points/{{recovery_point}}/files/{{path:path}}",
        operation_id=place.operation("get_file_of_recovery_point"),
        response_class=StreamingResponse,
        responses={
            200: {"content": {"application/octet-stream": {}}},
            304: {"description": "The client has these bytes (`If-None-Match`)"},
        },
    )
    async def get_file_of_recovery_point(
        workspace: Annotated[Workspace, Depends(place.find)],
        recovery_point: PointId,
        path: str,
        if_none_match: Annotated[str, Header()] = "",
    ) -> Response:
        """Download one file as it was."""
        file, chunks = await points.file(workspace, recovery_point, check_path(bytes_of(path)))
        tag = f'"{file.sha256}"'
        if tag in [known.strip() for known in if_none_match.split(",")]:
            return Response(status_code=304, headers={"ETag": tag, **DOWNLOAD_HEADERS})
        first = await anext(chunks, b"")  # what fails at once is still told as a problem
        entry = StoredFile(path=path, kind=file.kind, size_bytes=file.size)
        answer = download(entry, first, chunks, None)
        answer.headers["ETag"] = tag
        del answer.headers["Accept-Ranges"]
        return answer


def _document(difference: Difference) -> DiffDocument:
    return DiffDocument(
        added=difference.added,
        removed=difference.removed,
        changed=difference.changed,
        memory_changed=difference.is_memory_changed,
        changes=[_change(change) for change in difference.changes],
        next=None if difference.next_after is None else text_of(difference.next_after),
    )


def _change(change: Change) -> ChangeDocument:
    return ChangeDocument(
        path=text_of(change.path),
        change=change.change,
        before=_entry(change.before),
        after=_entry(change.after),
    )


def _entry(entry: Entry | None) -> EntryDocument | None:
    if entry is None:
        return None
    return EntryDocument(
        kind=entry.kind,
        mode=f"{entry.mode:04o}",
        size_bytes=entry.size,
        sha256=entry.sha256 or None,
    )
