"""What a moved head leaves in the list."""

from datetime import timedelta

import pytest
from tests.integration.sql.conftest import NOW, conversation
from tests.integration.sql.points import head, listed, point_id

from hakoiri.host.adapters.sql.conversation_store import SqlConversationStore
from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.adapters.sql.recovery_points import SqlRecoveryPoints
from hakoiri.host.adapters.sql.workspace_heads import SqlWorkspaceHeads
from hakoiri.host.files.points import PointReason, Retention
from hakoiri.host.files.ports import StaleGenerationError
from hakoiri.wire.events import Result, TextDelta

pytestmark = pytest.mark.anyio


async def test_each_head_is_listed_with_what_it_is(database: Database) -> None:
    conversations = SqlConversationStore(database)
    await conversations.create(conversation("a"))
    for text in ("one", "two"):
        first = await conversations.begin_turn(conversation_id="c-a", text=text, now=NOW)
        await conversations.append(
            conversation_id="c-a",
            turn=first.turn,
            events=[TextDelta(text="x"), Result(text="x")],
            now=NOW,
        )
    heads = SqlWorkspaceHeads(database)
    await heads.move_head("w-a", head(1, event_number=2))
    await heads.move_head("w-a", head(2, event_number=5, reason=PointReason.RUNNING))
    newest, oldest = await listed(SqlRecoveryPoints(database), "w-a")
    assert (newest.id, newest.number, newest.turn, newest.event_number) == (point_id(2), 2, 2, 5)
    assert (newest.files, newest.file_bytes, newest.parent) == (2, 20, point_id(1))
    assert (newest.reason, newest.is_head) == (PointReason.RUNNING, True)
    assert (oldest.id, oldest.number, oldest.turn, oldest.is_head) == (point_id(1), 1, 1, False)
    assert oldest.created_at == NOW + timedelta(seconds=1)


async def test_a_head_that_is_refused_is_not_listed(database: Database) -> None:
    await SqlConversationStore(database).create(conversation("a"))
    heads = SqlWorkspaceHeads(database)
    await heads.move_head("w-a", head(1, generation=2))
    with pytest.raises(StaleGenerationError):
        await heads.move_head("w-a", head(2, generation=1))
    assert len(await listed(SqlRecoveryPoints(database), "w-a")) == 1


async def test_old_points_leave_the_list_when_one_is_added(database: Database) -> None:
    await SqlConversationStore(database).create(conversation("a"))
    heads = SqlWorkspaceHeads(database, retention=Retention(points=3))
    points = SqlRecoveryPoints(database)
    for number in range(1, 4):
        await heads.move_head("w-a", head(number))
    await points.set_kept(
        tenant="default", workspace_id="w-a", recovery_point=point_id(1), is_kept=True
    )
    for number in range(4, 7):
        await heads.move_head("w-a", head(number))
    assert [point.id for point in await listed(points, "w-a")] == [
        point_id(number) for number in (6, 5, 4, 1)
    ]
    await heads.move_head("w-a", head(7, created=NOW + timedelta(days=31)))
    assert [point.number for point in await listed(points, "w-a")] == [7, 6, 1]


async def test_the_point_before_a_restore_pushes_none_out(database: Database) -> None:
    """Or it could be the one that is to be restored."""
    await SqlConversationStore(database).create(conversation("a"))
    heads = SqlWorkspaceHeads(database, retention=Retention(points=2))
    for number in (1, 2):
        await heads.move_head("w-a", head(number))
    await heads.move_head("w-a", head(3, reason=PointReason.BEFORE_RESTORE))
    assert len(await listed(SqlRecoveryPoints(database), "w-a")) == 3
