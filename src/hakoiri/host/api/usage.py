"""What one workspace uses of this host now."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from hakoiri.host.api.workspace_places import Place, places
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.workspace_service import WorkspaceService
from hakoiri.host.files.quota import DiskUse
from hakoiri.host.usage.figures import Usage

UsageOf = Callable[[str], Awaitable[Usage | None]]
"""Looks at a workspace's container; None if it has none."""


class DiskDocument(BaseModel):
    """One disk of a workspace, and its quota."""

    used_bytes: int
    quota_bytes: int
    used_inodes: int
    quota_inodes: int


class UsageDocument(BaseModel):
    """What a workspace uses. All but `state` is null while it has no container.

    `cpu_seconds` counts since the container was started; `cpu_cores` is the newest rate, null until
    it was looked at twice. A limit is null where there is none. `oom_kills` counts processes that
    the kernel killed for want of memory.
    """

    state: Literal["live", "stored"]
    cpu_seconds: float | None = None
    cpu_cores: float | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    pids: int | None = None
    pids_limit: int | None = None
    oom_kills: int | None = None
    workspace: DiskDocument | None = None
    home: DiskDocument | None = None


def router(*, workspaces: WorkspaceService, usage_of: UsageOf) -> APIRouter:
    """`…/usage`, in both places."""
    routes = APIRouter()
    for place in places(workspaces):
        _add(routes, place, usage_of)
    return routes


def _add(routes: APIRouter, place: Place, usage_of: UsageOf) -> None:
    @routes.get(f"{place.path}/usage", operation_id=place.operation("get_usage"))
    async def get_usage(
        workspace: Annotated[Workspace, Depends(place.find)], response: Response
    ) -> UsageDocument:
        """Show what the workspace's container uses: processor, memory, processes, disks."""
        response.headers["Cache-Control"] = "no-store"
        return _document(await usage_of(workspace.id))


def _document(usage: Usage | None) -> UsageDocument:
    if usage is None:
        return UsageDocument(state="stored")
    figures, disk = usage.figures, usage.disk
    return UsageDocument(
        state="live",
        cpu_seconds=figures.cpu_seconds,
        cpu_cores=usage.cpu_cores,
        memory_bytes=figures.memory_bytes,
        memory_limit_bytes=figures.memory_limit_bytes,
        pids=figures.pids,
        pids_limit=figures.pids_limit,
        oom_kills=figures.oom_kills,
        workspace=_disk(disk.workspace) if disk else None,
        home=_disk(disk.home) if disk else None,
    )


def _disk(disk: DiskUse) -> DiskDocument:
    return DiskDocument(
        used_bytes=disk.used_bytes,
        quota_bytes=disk.quota_bytes,
        used_inodes=disk.used_inodes,
        quota_inodes=disk.quota_inodes,
    )
