"""Points and heads for the tests of their lists."""

from datetime import datetime, timedelta

from tests.integration.sql.conftest import NOW

from hakoiri.host.adapters.sql.recovery_points import SqlRecoveryPoints
from hakoiri.host.files.points import NewPoint, PointReason, RecoveryPoint
from hakoiri.host.files.ports import WorkspaceHead


def point_id(number: int) -> str:
    return f"rp-{number:032x}"


def head(
    number: int,
    *,
    generation: int = 1,
    event_number: int = 0,
    reason: PointReason = PointReason.TURN_END,
    created: datetime | None = None,
) -> WorkspaceHead:
    point = NewPoint(
        created=created or NOW + timedelta(seconds=number),
        parent=point_id(number - 1) if number > 1 else None,
        files=number,
        file_bytes=10 * number,
        reason=reason,
    )
    return WorkspaceHead(point_id(number), generation, event_number, point)


async def listed(
    points: SqlRecoveryPoints, workspace_id: str, *, tenant: str = "default"
) -> list[RecoveryPoint]:
    return [*await points.points(tenant=tenant, workspace_id=workspace_id, limit=1000, before=None)]
