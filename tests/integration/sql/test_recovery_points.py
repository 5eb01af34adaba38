"""Lists of points, restores and forks, on SQLite."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.integration.sql.conftest import NOW, conversation
from tests.integration.sql.points import NOTHING, head, listed, point_id

from hakoiri.host.adapters.sql.claim_store import SqlClaimStore
from hakoiri.host.adapters.sql.conversation_store import SqlConversationStore
from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.adapters.sql.recovery_points import SqlRecoveryPoints
from hakoiri.host.adapters.sql.schema import recovery_points
from hakoiri.host.adapters.sql.workspace_heads import SqlWorkspaceHeads
from hakoiri.host.adapters.sql.workspace_store import SqlWorkspaceStore
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.point_ports import (
    Forking,
    HeadMovedError,
    PointInUseError,
    Restoring,
    TooManyKeptError,
)
from hakoiri.host.conversations.ports import NoSuchWorkspaceError, TurnRunningError
from hakoiri.host.files.point_files import TakenOver
from hakoiri.host.files.points import DEFAULT_RETENTION, PointReason
from hakoiri.host.files.ports import ManifestName, NoSuchPointError, StaleGenerationError
from hakoiri.wire.events import Result

pytestmark = pytest.mark.anyio

SESSION = "0b1f"


@pytest.fixture
def conversations(database: Database) -> SqlConversationStore:
    return SqlConversationStore(database)


@pytest.fixture
def points(database: Database) -> SqlRecoveryPoints:
    return SqlRecoveryPoints(database)


@pytest.fixture
def heads(database: Database) -> SqlWorkspaceHeads:
    return SqlWorkspaceHeads(database)


async def workspace_of(database: Database, name: str) -> Workspace:
    return await SqlWorkspaceStore(database).workspace(tenant="default", workspace_id=f"w-{name}")


async def a_turn(conversations: SqlConversationStore, name: str = "a") -> None:
    first = await conversations.begin_turn(conversation_id=f"c-{name}", text="x", now=NOW)
    await conversations.append(
        conversation_id=f"c-{name}", turn=first.turn, events=[Result(text="y")], now=NOW
    )


async def restoring(database: Database, name: str = "a", **changes: object) -> Restoring:
    workspace = await workspace_of(database, name)
    given: dict[str, object] = {
        "workspace": workspace,
        "source": point_id(1),
        "undo": point_id(2),
        "generation": workspace.generation,
        "taken": TakenOver(head(3, generation=9, reason=PointReason.RESTORED), SESSION),
        "text": "put back",
        "now": NOW,
    }
    return Restoring(**(given | changes))  # type: ignore[arg-type]


async def test_pages_hold_each_point_once(
    conversations: SqlConversationStore, heads: SqlWorkspaceHeads, points: SqlRecoveryPoints
) -> None:
    await conversations.create(conversation("a"))
    for number in range(1, 8):
        await heads.move_head("w-a", head(number), NOTHING)
    seen: list[str] = []
    before = None
    while page := await points.points(tenant="default", workspace_id="w-a", limit=3, before=before):
        seen += [point.id for point in page]
        before = page[-1].id
    assert seen == [point_id(number) for number in range(7, 0, -1)]


async def test_another_tenants_points_are_not_there(
    conversations: SqlConversationStore, heads: SqlWorkspaceHeads, points: SqlRecoveryPoints
) -> None:
    await conversations.create(conversation("a", tenant="other"))
    await heads.move_head("w-a", head(1), NOTHING)
    await heads.move_head("w-a", head(2), NOTHING)
    of = {"tenant": "default", "workspace_id": "w-a"}
    for asked in (
        points.points(**of, limit=9, before=None),
        points.point(**of, recovery_point=point_id(1)),
        points.point(**of, recovery_point=None),
        points.set_kept(**of, recovery_point=point_id(1), is_kept=True),
        points.drop(**of, recovery_point=point_id(1)),
    ):
        with pytest.raises(NoSuchWorkspaceError):
            await asked
    assert [point.is_kept for point in await listed(points, "w-a", tenant="other")] == [False] * 2


async def test_a_point_of_another_workspace_is_none_of_this_one(
    conversations: SqlConversationStore, heads: SqlWorkspaceHeads, points: SqlRecoveryPoints
) -> None:
    for name in ("a", "b"):
        await conversations.create(conversation(name))
    await heads.move_head("w-a", head(1), NOTHING)
    of = {"tenant": "default", "workspace_id": "w-b", "recovery_point": point_id(1)}
    for asked in (points.point(**of), points.set_kept(**of, is_kept=True), points.drop(**of)):
        with pytest.raises(NoSuchPointError):
            await asked


async def test_the_newest_cannot_be_dropped(
    conversations: SqlConversationStore, heads: SqlWorkspaceHeads, points: SqlRecoveryPoints
) -> None:
    await conversations.create(conversation("a"))
    await heads.move_head("w-a", head(1), NOTHING)
    await heads.move_head("w-a", head(2), NOTHING)
    of = {"tenant": "default", "workspace_id": "w-a"}
    with pytest.raises(PointInUseError):
        await points.drop(**of, recovery_point=point_id(2))
    await points.drop(**of, recovery_point=point_id(1))
    assert [point.id for point in await listed(points, "w-a")] == [point_id(2)]


async def test_kept_points_are_bounded(
    conversations: SqlConversationStore,
    heads: SqlWorkspaceHeads,
    points: SqlRecoveryPoints,
    database: Database,
) -> None:
    await conversations.create(conversation("a"))
    for number in range(1, 4):
        await heads.move_head("w-a", head(number), NOTHING)
    row = {"turn": 0, "generation": 1, "event_number": 0, "reason": "turn-end", "kept": True}
    rows = [
        row | {"workspace_id": "w-a", "number": 100 + n, "id": f"rp-{n}", "created_at": NOW}
        for n in range(DEFAULT_RETENTION.kept_points - 1)
    ]
    async with database.writing() as connection:
        await connection.execute(sa.insert(recovery_points), rows)
    of = {"tenant": "default", "workspace_id": "w-a"}
    for _ in range(2):  # what is kept already may be kept again
        await points.set_kept(**of, recovery_point=point_id(1), is_kept=True)
    with pytest.raises(TooManyKeptError):
        await points.set_kept(**of, recovery_point=point_id(2), is_kept=True)


async def test_points_go_with_their_workspace(
    conversations: SqlConversationStore, heads: SqlWorkspaceHeads, points: SqlRecoveryPoints
) -> None:
    await conversations.create(conversation("a"))
    await heads.move_head("w-a", head(1), NOTHING)
    await conversations.delete(tenant="default", conversation_id="c-a")
    assert await points.live_manifests("default") == frozenset()


async def test_all_that_heads_and_lists_name_is_alive_and_nothing_of_others(
    conversations: SqlConversationStore, heads: SqlWorkspaceHeads, points: SqlRecoveryPoints
) -> None:
    for name, tenant in (("a", "default"), ("b", "default"), ("c", "other"), ("d", "default")):
        await conversations.create(conversation(name, tenant=tenant))
    for number in range(1, 4):
        await heads.move_head("w-a", head(number), NOTHING)
    await points.drop(tenant="default", workspace_id="w-a", recovery_point=point_id(2))
    await heads.move_head("w-b", head(1), NOTHING)
    await heads.move_head("w-c", head(1), NOTHING)
    assert await points.live_manifests("default") == {
        ManifestName("w-a", point_id(1)),
        ManifestName("w-a", point_id(3)),
        ManifestName("w-b", point_id(1)),
    }


async def test_a_restore_is_one_step_of_head_memory_and_log(
    conversations: SqlConversationStore,
    heads: SqlWorkspaceHeads,
    points: SqlRecoveryPoints,
    database: Database,
) -> None:
    await conversations.create(conversation("a"))
    await a_turn(conversations)
    await heads.move_head("w-a", head(1), NOTHING)
    await heads.move_head("w-a", head(2), NOTHING)
    [told] = await points.commit_restore(await restoring(database))
    assert (told.id, told.type, told.turn) == (3, "notice", 2)
    assert told.data == {"code": "workspace-restored", "text": "put back"}
    found = await workspace_of(database, "a")
    assert (found.generation, found.recovery_point) == (9, point_id(3))
    assert await conversations.session_id("w-a") == SESSION
    assert [point.number for point in await listed(points, "w-a")] == [3, 2, 1]
    after = await conversations.begin_turn(conversation_id="c-a", text="next", now=NOW)
    assert (after.id, after.turn) == (4, 2)


async def test_no_container_from_before_a_restore_saves_or_is_adopted(
    conversations: SqlConversationStore,
    heads: SqlWorkspaceHeads,
    points: SqlRecoveryPoints,
    database: Database,
) -> None:
    await conversations.create(conversation("a"))
    claims = SqlClaimStore(database, clock=lambda: NOW)
    generation = await claims.claim(container_id="k-1", workspace_id="w-a")
    await heads.move_head("w-a", head(1, generation=generation), NOTHING)
    await heads.move_head("w-a", head(2, generation=generation), NOTHING)
    taken = TakenOver(head(3, generation=generation + 1), SESSION)
    await points.commit_restore(await restoring(database, taken=taken))
    assert await claims.claimed() == []
    with pytest.raises(StaleGenerationError):
        await heads.move_head("w-a", head(4, generation=generation), NOTHING)
    assert await claims.claim(container_id="k-2", workspace_id="w-a") == generation + 2


async def test_a_restore_is_refused_while_a_turn_runs(
    conversations: SqlConversationStore,
    heads: SqlWorkspaceHeads,
    points: SqlRecoveryPoints,
    database: Database,
) -> None:
    await conversations.create(conversation("a"))
    await heads.move_head("w-a", head(1), NOTHING)
    await heads.move_head("w-a", head(2), NOTHING)
    await conversations.begin_turn(conversation_id="c-a", text="x", now=NOW)
    with pytest.raises(TurnRunningError):
        await points.commit_restore(await restoring(database))
    assert (await workspace_of(database, "a")).recovery_point == point_id(2)


async def test_a_restore_on_what_has_changed_is_refused(
    conversations: SqlConversationStore,
    heads: SqlWorkspaceHeads,
    points: SqlRecoveryPoints,
    database: Database,
) -> None:
    await conversations.create(conversation("a"))
    await heads.move_head("w-a", head(1), NOTHING)
    await heads.move_head("w-a", head(2), NOTHING)
    for changes in ({"undo": point_id(1)}, {"generation": 7}):
        with pytest.raises(HeadMovedError):
            await points.commit_restore(await restoring(database, **changes))
    with pytest.raises(NoSuchPointError):
        await points.commit_restore(await restoring(database, source=point_id(5)))
    assert (await workspace_of(database, "a")).recovery_point == point_id(2)
    assert (await conversations.get(tenant="default", conversation_id="c-a")).last_event == 0


def forking(source: object, *, tenant: str = "default", conversation_id: str | None) -> Forking:
    return Forking(
        source=source,  # type: ignore[arg-type]
        tenant=tenant,
        workspace_id="w-f",
        conversation_id=conversation_id,
        taken=TakenOver(head(9, reason=PointReason.FORKED), SESSION),
        text="forked",
        now=NOW + timedelta(hours=1),
    )


async def test_a_fork_is_a_workspace_with_one_point(
    conversations: SqlConversationStore,
    heads: SqlWorkspaceHeads,
    points: SqlRecoveryPoints,
    database: Database,
) -> None:
    await conversations.create(conversation("a", policy="web"))
    await heads.move_head("w-a", head(1), NOTHING)
    [source] = await listed(points, "w-a")
    await points.commit_fork(forking(source, conversation_id=None))
    made = await workspace_of(database, "f")
    assert (made.policy, made.conversation_id, made.generation) == ("web", None, 0)
    assert made.recovery_point == point_id(9)
    assert await conversations.session_id("w-f") == SESSION
    [point] = await listed(points, "w-f")
    assert (point.number, point.reason, point.is_head) == (1, PointReason.FORKED, True)
    claims = SqlClaimStore(database, clock=lambda: NOW)
    generation = await claims.claim(container_id="k-1", workspace_id="w-f")
    await heads.move_head("w-f", head(10, generation=generation), NOTHING)


async def test_nothing_of_another_tenant_is_forked(
    conversations: SqlConversationStore,
    heads: SqlWorkspaceHeads,
    points: SqlRecoveryPoints,
    database: Database,
) -> None:
    await conversations.create(conversation("a"))
    await heads.move_head("w-a", head(1), NOTHING)
    [source] = await listed(points, "w-a")
    with pytest.raises(NoSuchWorkspaceError):
        await points.commit_fork(forking(source, tenant="other", conversation_id="c-f"))
    with pytest.raises(NoSuchWorkspaceError):
        await workspace_of(database, "f")


async def test_a_point_that_has_left_the_list_is_not_forked(
    conversations: SqlConversationStore, heads: SqlWorkspaceHeads, points: SqlRecoveryPoints
) -> None:
    await conversations.create(conversation("a"))
    await heads.move_head("w-a", head(1), NOTHING)
    [source] = await listed(points, "w-a")
    await heads.move_head("w-a", head(2), NOTHING)
    await points.drop(tenant="default", workspace_id="w-a", recovery_point=point_id(1))
    with pytest.raises(NoSuchPointError):
        await points.commit_fork(forking(source, conversation_id=None))
