"""Workspaces over HTTP: made, found, looked at, killed."""

from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel

from hakoiri.host.api.authentication import Tenant
from hakoiri.host.api.workspace_places import Place, places
from hakoiri.host.conversations.model import DEFAULT_POLICY, Workspace
from hakoiri.host.conversations.workspace_service import (
    FilesFate,
    WorkspaceService,
    WorkspaceSight,
)
from hakoiri.wire.messages import Identifier, Message

LIST_LIMIT: Final = 100


class NewWorkspace(Message):
    """What a workspace shall be; `{}` is one under the default policy."""

    policy: Identifier = DEFAULT_POLICY


class WorkspaceDocument(BaseModel):
    """A workspace as it is shown.

    `live` while it has a container, `in_use` while a turn, a command or a save needs that one.
    `generation` counts its containers so far.
    """

    id: str
    conversation_id: str | None
    policy: str
    created_at: datetime
    state: Literal["live", "stored"]
    in_use: bool
    generation: int
    recovery_point: str | None


class WorkspaceList(BaseModel):
    """Newest first. `next` goes into `?before=` for the rest; null at the end."""

    workspaces: list[WorkspaceDocument]
    next: str | None


def router(*, workspaces: WorkspaceService) -> APIRouter:
    """`/v1/workspaces`, and one of them in both places."""
    routes = APIRouter()
    _add_collection(routes, workspaces)
    for place in places(workspaces):
        _add_one(routes, place, workspaces)
    return routes


def _add_collection(routes: APIRouter, workspaces: WorkspaceService) -> None:
    @routes.post("/v1/workspaces", status_code=201)
    async def create_workspace(
        tenant: Tenant, response: Response, new: NewWorkspace | None = None
    ) -> WorkspaceDocument:
        """Make a workspace without a conversation."""
        made = await workspaces.create(tenant=tenant, policy=(new or NewWorkspace()).policy)
        response.headers["Location"] = f"/v1/workspaces/{made.workspace.id}"
        return _document(made)

    @routes.get("/v1/workspaces")
    async def list_workspaces(
        tenant: Tenant,
        limit: Annotated[int, Query(ge=1, le=LIST_LIMIT)] = 50,
        before: Identifier | None = None,
    ) -> WorkspaceList:
        """List workspaces, those of conversations too, newest first."""
        found = await workspaces.list(tenant=tenant, limit=limit, before=before)
        return WorkspaceList(
            workspaces=[_document(item) for item in found],
            next=found[-1].workspace.id if len(found) == limit else None,
        )


def _add_one(routes: APIRouter, place: Place, workspaces: WorkspaceService) -> None:
    @routes.get(place.path, operation_id=place.operation("get_workspace"))
    async def get_workspace(
        workspace: Annotated[Workspace, Depends(place.find)],
    ) -> WorkspaceDocument:
        """Show one workspace."""
        return _document(workspaces.look_at(workspace))

    @routes.delete(place.path, status_code=204, operation_id=place.operation("kill_workspace"))
    async def kill_workspace(
        workspace: Annotated[Workspace, Depends(place.find)], files: FilesFate = FilesFate.SAVE
    ) -> None:
        """Kill the workspace's container with all that runs in it; refused while a turn runs.

        Its files are saved first, and it stays (`files=save`); or what is not saved is lost
        (`lose`); or it is forgotten with all its files (`delete`, if it is no conversation's).
        """
        await workspaces.kill(workspace, files=files)


def _document(sight: WorkspaceSight) -> WorkspaceDocument:
    workspace = sight.workspace
    return WorkspaceDocument(
        id=workspace.id,
        conversation_id=workspace.conversation_id,
        policy=workspace.policy,
        created_at=workspace.created_at,
        state=sight.state,
        in_use=sight.in_use,
        generation=workspace.generation,
        recovery_point=workspace.recovery_point,
    )
