"""Lists that nobody adds to: found when something in them is to go, and by nothing else."""

from datetime import timedelta

import pytest
from tests.integration.sql.conftest import NOW, conversation
from tests.integration.sql.points import NOTHING, head, listed, point_id

from hakoiri.host.adapters.sql.conversation_store import SqlConversationStore
from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.adapters.sql.point_retention import SqlPointRetention
from hakoiri.host.adapters.sql.recovery_points import SqlRecoveryPoints
from hakoiri.host.adapters.sql.workspace_heads import SqlWorkspaceHeads
from hakoiri.host.files.points import PointReason, Retention

pytestmark = pytest.mark.anyio

LATER = NOW + timedelta(days=40)


async def made(database: Database, *names: str, points: int = 4, tenant: str = "default") -> None:
    heads = SqlWorkspaceHeads(database)
    for name in names:
        await SqlConversationStore(database).create(conversation(name, tenant=tenant))
        for number in range(1, points + 1):
            reason = PointReason.RUNNING if number % 2 else PointReason.TURN_END
            await heads.move_head(f"w-{name}", head(number, reason=reason), NOTHING)


async def test_what_is_too_old_goes_though_nobody_adds_any(database: Database) -> None:
    await made(database, "a")
    lists = SqlPointRetention(database, retention=Retention())
    points = SqlRecoveryPoints(database)
    await points.set_kept(
        tenant="default", workspace_id="w-a", recovery_point=point_id(2), is_kept=True
    )
    assert await lists.overfull("default", now=NOW + timedelta(days=29)) == []
    assert await lists.overfull("default", now=LATER) == ["w-a"]
    assert await lists.drop_expired("w-a", now=LATER) == 2
    assert [point.id for point in await listed(points, "w-a")] == [point_id(4), point_id(2)]
    assert await lists.overfull("default", now=LATER) == []
    assert await lists.drop_expired("w-a", now=LATER) == 0


@pytest.mark.parametrize(
    ("retention", "left"),
    [
        (Retention(points=2, max_age=None), 2),
        (Retention(points=1, max_age=None), 1),
        (Retention(running_points=1, max_age=None), 3),
        (Retention(running_points=0, max_age=None), 2),
        (Retention(max_age=None), 4),
        (Retention(points=4, max_age=timedelta(days=41)), 4),
    ],
)
async def test_a_bound_that_was_lowered_holds_for_all_lists(
    database: Database, retention: Retention, left: int
) -> None:
    await made(database, "a")
    lists = SqlPointRetention(database, retention=retention)
    for workspace_id in await lists.overfull("default", now=LATER):
        await lists.drop_expired(workspace_id, now=LATER)
    assert len(await listed(SqlRecoveryPoints(database), "w-a")) == left


async def test_only_a_tenants_own_lists_are_found_and_no_head_alone(database: Database) -> None:
    await made(database, "a", "b")
    await made(database, "c", points=1)
    await made(database, "d", tenant="other")
    lists = SqlPointRetention(database, retention=Retention())
    assert await lists.overfull("default", now=LATER) == ["w-a", "w-b"]
    assert await lists.overfull("other", now=LATER) == ["w-d"]


async def test_a_workspace_that_is_gone_has_no_list(database: Database) -> None:
    lists = SqlPointRetention(database, retention=Retention())
    assert await lists.drop_expired("w-none", now=LATER) == 0
