"""All that serves recovery points, put together in one place."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from hakoiri.audit.writer import AuditLog
from hakoiri.host.conversations.event_feed import EventFeed
from hakoiri.host.conversations.fork_service import ForkService
from hakoiri.host.conversations.point_ports import PointFiles, PointStore, StillContainers
from hakoiri.host.conversations.point_service import PointService
from hakoiri.host.conversations.points_in_use import PointsInUse
from hakoiri.host.conversations.ports import WorkspaceFiles, WorkspaceStore
from hakoiri.host.conversations.restore_service import RestoreService
from hakoiri.host.conversations.workspace_saver import WorkspaceSaver


@dataclass(frozen=True, slots=True)
class PointServices:
    """What the API speaks to about recovery points."""

    points: PointService
    restores: RestoreService
    forks: ForkService


def make_point_services(
    *,
    points: PointStore,
    files: PointFiles,
    store: WorkspaceStore,
    containers: StillContainers,
    saves: WorkspaceFiles,
    saver: WorkspaceSaver,
    feed: EventFeed,
    clock: Callable[[], datetime],
    audit: AuditLog,
) -> PointServices:
    """Build them over the ports."""
    in_use = PointsInUse()
    return PointServices(
        points=PointService(
            points=points,
            files=files,
            in_use=in_use,
            store=store,
            containers=containers,
            saves=saves,
            saver=saver,
        ),
        restores=RestoreService(
            points=points,
            files=files,
            in_use=in_use,
            store=store,
            containers=containers,
            saves=saves,
            saver=saver,
            feed=feed,
            clock=clock,
            audit=audit,
        ),
        forks=ForkService(
            points=points,
            files=files,
            in_use=in_use,
            store=store,
            saver=saver,
            clock=clock,
            audit=audit,
        ),
    )
