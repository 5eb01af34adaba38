"""A workspace's recovery points over HTTP: listed, made, kept, dropped, restored, forked."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel

from hakoiri.host.api.workspace_places import Place, places
from hakoiri.host.conversations.fork_service import Fork, ForkService
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.point_service import PointService
from hakoiri.host.conversations.point_services import PointServices
from hakoiri.host.conversations.restore_service import RestoreService
from hakoiri.host.conversations.workspace_service import WorkspaceService
from hakoiri.host.files.manifest import is_recovery_point
from hakoiri.host.files.points import PointReason, RecoveryPoint
from hakoiri.host.files.ports import NoSuchPointError
from hakoiri.wire.messages import Identifier, Message

LIST_LIMIT: Final = 100


class RecoveryPointDocument(BaseModel):
    """A recovery point as it is shown.

    `turn` and `event_number` are up to where the conversation had come, 0 without one. `files` and
    `file_bytes` count regular files and their size, null for one made before points were listed.
    `kept` ones stay until somebody lets go of them. `newest`: it holds the workspace's files now.
    """

    id: str
    created_at: datetime
    reason: PointReason
    turn: int
    event_number: int
    generation: int
    files: int | None
    file_bytes: int | None
    kept: bool
    newest: bool
    parent: str | None


class RecoveryPointList(BaseModel):
    """Newest first. `next` goes into `?before=` for the rest; null at the end."""

    recovery_points: list[RecoveryPointDocument]
    next: str | None


class PointKeeping(Message):
    """Whether the point is kept for good."""

    kept: bool


class Restore(Message):
    """`expected_newest`: restore only if that is the newest recovery point now."""

    expected_newest: Identifier | None = None


class RestoreDocument(BaseModel):
    """The newest point now, and `undo`, which takes the restore back.

    `left_out` names what of the files before is not in `undo`, and why.
    """

    recovery_point: RecoveryPointDocument
    undo: str
    left_out: list[str]


class NewFork(Message):
    """Which recovery point to fork from; the newest if none is named."""

    recovery_point: Identifier | None = None


class ForkDocument(BaseModel):
    """What a fork made, and what from. `conversation_id` is null for a workspace alone."""

    workspace_id: str
    conversation_id: str | None
    policy: str
    created_at: datetime
    recovery_point: str | None
    from_workspace_id: str
    from_recovery_point: str
    from_event_number: int


def point_id(recovery_point: str) -> str:
    """Check the id in the path: what cannot be one is answered like one that is not there."""
    if not is_recovery_point(recovery_point):
        raise NoSuchPointError("the workspace's list has no such recovery point")
    return recovery_point


PointId = Annotated[str, Depends(point_id)]


def router(*, workspaces: WorkspaceService, services: PointServices) -> APIRouter:
    """`…/recovery-points` and `…/fork` in both places."""
    routes = APIRouter()
    for place in places(workspaces):
        _add_collection(routes, place, services.points)
        _add_one(routes, place, services.points)
        _add_restore(routes, place, services.restores)
        _add_fork(routes, place, services.forks)
    return routes


def _add_collection(routes: APIRouter, place: Place, points: PointService) -> None:
    Found = Annotated[Workspace, Depends(place.find)]  # noqa: N806 - a type
    base = f"{place.path}/recovery-points"

    @routes.get(base, operation_id=place.operation("list_recovery_points"))
    async def list_recovery_points(
        workspace: Found,
        limit: Annotated[int, Query(ge=1, le=LIST_LIMIT)] = 50,
        before: str | None = None,
    ) -> RecoveryPointList:
        """List the recovery points, newest first."""
        beyond = None if before is None else point_id(before)
        found = await points.list(workspace, limit=limit, before=beyond)
        return RecoveryPointList(
            recovery_points=[_document(point) for point in found],
            next=found[-1].id if len(found) == limit else None,
        )

    @routes.post(base, status_code=201, operation_id=place.operation("make_recovery_point"))
    async def make_recovery_point(workspace: Found, response: Response) -> RecoveryPointDocument:
        """Save now; the newest point if nothing has changed. Refused while a turn runs."""
        made = await points.save_now(workspace)
        response.headers["Location"] = f"/v1/workspaces/{workspace.id}/recovery-points/{made.id}"
        return _document(made)


def _add_one(routes: APIRouter, place: Place, points: PointService) -> None:
    Found = Annotated[Workspace, Depends(place.find)]  # noqa: N806 - a type
    one = f"{place.path}/recovery-points/{{recovery_point}}"

    @routes.get(one, operation_id=place.operation("get_recovery_point"))
    async def get_recovery_point(
        workspace: Found, recovery_point: PointId
    ) -> RecoveryPointDocument:
        """Show one recovery point."""
        return _document(await points.find(workspace, recovery_point))

    @routes.patch(one, operation_id=place.operation("keep_recovery_point"))
    async def keep_recovery_point(
        workspace: Found, recovery_point: PointId, keeping: PointKeeping
    ) -> RecoveryPointDocument:
        """Keep a point for good, or let it go with the others of its age."""
        return _document(await points.keep(workspace, recovery_point, is_kept=keeping.kept))

    @routes.delete(one, status_code=204, operation_id=place.operation("drop_recovery_point"))
    async def drop_recovery_point(workspace: Found, recovery_point: PointId) -> None:
        """Take a point from the list; refused for the newest, and while it is restored."""
        await points.drop(workspace, recovery_point)


def _add_restore(routes: APIRouter, place: Place, restores: RestoreService) -> None:
    @routes.post(
        f"{place.path}/recovery-points/{{recovery_point}}/restore",
        operation_id=place.operation("restore"),
    )
    async def restore(
        workspace: Annotated[Workspace, Depends(place.find)],
        recovery_point: PointId,
        asked: Restore | None = None,
    ) -> RestoreDocument:
        """Put files and the agent's memory back; refused while a turn or a command runs.

        What was there before is a recovery point as well, and the container is given up.
        """
        expected = (asked or Restore()).expected_newest
        restored = await restores.restore(workspace, recovery_point, expected_head=expected)
        return RestoreDocument(
            recovery_point=_document(restored.head),
            undo=restored.undo,
            left_out=[*restored.left_out],
        )


def _add_fork(routes: APIRouter, place: Place, forks: ForkService) -> None:
    @routes.post(f"{place.path}/fork", status_code=201, operation_id=place.operation("fork"))
    async def fork(
        workspace: Annotated[Workspace, Depends(place.find)],
        response: Response,
        new: NewFork | None = None,
    ) -> ForkDocument:
        """Make a new workspace of a recovery point; of a conversation, a new conversation.

        Files and the agent's memory are those of the point; a conversation gets the events so far.
        """
        asked = (new or NewFork()).recovery_point
        made = await forks.fork(
            workspace,
            None if asked is None else point_id(asked),
            with_conversation=place.is_conversations,
        )
        response.headers["Location"] = _location(made)
        return _fork_document(made)


def _location(fork: Fork) -> str:
    if fork.workspace.conversation_id is not None:
        return f"/v1/conversations/{fork.workspace.conversation_id}"
    return f"/v1/workspaces/{fork.workspace.id}"


def _fork_document(fork: Fork) -> ForkDocument:
    return ForkDocument(
        workspace_id=fork.workspace.id,
        conversation_id=fork.workspace.conversation_id,
        policy=fork.workspace.policy,
        created_at=fork.workspace.created_at,
        recovery_point=fork.workspace.recovery_point,
        from_workspace_id=fork.source.workspace_id,
        from_recovery_point=fork.source.id,
        from_event_number=fork.source.event_number,
    )


def _document(point: RecoveryPoint) -> RecoveryPointDocument:
    return RecoveryPointDocument(
        id=point.id,
        created_at=point.created_at,
        reason=point.reason,
        turn=point.turn,
        event_number=point.event_number,
        generation=point.generation,
        files=point.files,
        file_bytes=point.file_bytes,
        kept=point.is_kept,
        newest=point.is_head,
        parent=point.parent,
    )
