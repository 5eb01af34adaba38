import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from tests.integration.sql.conftest import NOW, conversation
from tests.integration.sql.points import NOTHING

from hakoiri.host.adapters.sql.conversation_store import SqlConversationStore
from hakoiri.host.adapters.sql.database import Database, DatabaseError, open_database
from hakoiri.host.adapters.sql.recovery_points import SqlRecoveryPoints
from hakoiri.host.adapters.sql.schema import metadata
from hakoiri.host.adapters.sql.workspace_heads import SqlWorkspaceHeads
from hakoiri.host.adapters.sql.workspace_store import SqlWorkspaceStore
from hakoiri.host.files.points import PointReason
from hakoiri.host.files.ports import WorkspaceHead

pytestmark = pytest.mark.anyio

BACK_TO_THE_FIRST_RELEASE = (
    "DROP TABLE recovery_points",
    "DROP INDEX ix_workspaces_tenant_policy",
    "DROP INDEX ix_workspaces_tenant_created_at_id",
    "ALTER TABLE workspaces DROP COLUMN policy",
    "ALTER TABLE workspaces DROP COLUMN created_at",
    "CREATE INDEX ix_conversations_tenant_policy ON conversations (tenant, policy)",
    "ALTER TABLE claims DROP COLUMN is_filled",
    "ALTER TABLE conversations DROP COLUMN agent_seq",
    "ALTER TABLE conversations DROP COLUMN runtime",
    "DROP TABLE collected",
    "UPDATE alembic_version SET version_num = '0001'",
)


async def test_the_migrations_make_what_the_schema_says(database: Database) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []


@pytest.fixture
async def file_database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(f"sqlite:///{tmp_path}/hakoiri.db")
    yield opened
    await opened.close()


async def test_the_file_is_set_up_to_lose_nothing(file_database: Database) -> None:
    async with file_database.reading() as connection:
        found = [
            await connection.scalar(sa.text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    full = 2
    assert found == ["wal", full, 1, 10_000]


async def test_a_connection_keeps_half_a_mebibyte_of_pages(file_database: Database) -> None:
    async with file_database.reading() as connection:
        assert await connection.scalar(sa.text("PRAGMA cache_size")) == -512


async def test_nobody_else_may_read_the_file(file_database: Database, tmp_path: Path) -> None:
    await file_database.check()
    async for path in anyio.Path(tmp_path).iterdir():
        assert (await path.stat()).st_mode & 0o077 == 0, path.name


async def test_opening_again_keeps_what_is_there(database: Database, url: str) -> None:
    await SqlConversationStore(database).create(conversation("a"))
    again = await open_database(url)
    found = await SqlConversationStore(again).get(tenant="default", conversation_id="c-a")
    assert found.id == "c-a"
    await again.close()


async def test_workspaces_of_the_first_release_keep_their_policy(url: str) -> None:
    """Migration 0003, on a database that 0001 made and filled."""
    opened = await open_database(url)
    await SqlConversationStore(opened).create(conversation("a", policy="web"))
    async with opened.writing() as connection:
        for statement in BACK_TO_THE_FIRST_RELEASE:
            await connection.exec_driver_sql(statement)
    await opened.close()
    opened = await open_database(url)
    found = await SqlWorkspaceStore(opened).workspace(tenant="default", workspace_id="w-a")
    await opened.close()
    assert (found.policy, found.created_at, found.conversation_id) == ("web", NOW, "c-a")


async def test_the_newest_points_from_before_there_were_lists_are_listed(url: str) -> None:
    """Migration 0005, on a database that 0004 made and filled."""
    opened = await open_database(url)
    store = SqlConversationStore(opened)
    await store.create(conversation("a"))
    await store.create(conversation("b"))
    await store.begin_turn(conversation_id="c-a", text="x", now=NOW)
    await SqlWorkspaceHeads(opened).move_head("w-a", WorkspaceHead("rp-old", 3, 1), NOTHING)
    async with opened.writing() as connection:
        await connection.exec_driver_sql("DROP TABLE recovery_points")
        await connection.exec_driver_sql("DROP TABLE collected")
        await connection.exec_driver_sql("ALTER TABLE claims DROP COLUMN is_filled")
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0004'")
    await opened.close()
    opened = await open_database(url)
    points = SqlRecoveryPoints(opened)
    [found] = await points.points(tenant="default", workspace_id="w-a", limit=9, before=None)
    empty = await points.points(tenant="default", workspace_id="w-b", limit=9, before=None)
    await opened.close()
    assert (found.id, found.number, found.turn, found.generation) == ("rp-old", 1, 1, 3)
    assert (found.reason, found.files, found.is_head) == (PointReason.EARLIER, None, True)
    assert found.created_at.tzinfo is not None
    assert empty == []


async def test_many_may_open_a_new_database_at_once(url: str) -> None:
    opened: list[Database] = []

    async def open_one() -> None:
        opened.append(await open_database(url))

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(open_one)
    for one in opened:
        await one.check()
        await one.close()


@pytest.mark.parametrize("url", ["nonsense", "nosuch://x", "sqlite:////nonexistent-directory/x.db"])
async def test_a_database_that_cannot_be_opened_is_our_error(url: str) -> None:
    with pytest.raises(DatabaseError):
        await open_database(url)


async def test_a_damaged_file_is_our_error(tmp_path: Path) -> None:
    (tmp_path / "hakoiri.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(DatabaseError, match="not a database"):
        await open_database(f"sqlite:///{tmp_path}/hakoiri.db")


async def test_a_write_is_finished_although_its_task_is_cancelled(database: Database) -> None:
    store = SqlConversationStore(database)
    await store.create(conversation("a"))
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.begin_turn(conversation_id="c-a", text="hi", now=NOW)
    found = await store.get(tenant="default", conversation_id="c-a")
    assert found.last_event == 1
    with anyio.move_on_after(0.001):
        for _ in range(100):
            await store.set_session_id("w-a", "ab")
    await database.check()


async def test_another_process_writes_while_we_are_open(database: Database, url: str) -> None:
    script = """
import sys
from anyio import run
from datetime import UTC, datetime
from hakoiri.host.adapters.sql.database import open_database
from hakoiri.host.adapters.sql.key_store import SqlKeyStore
from hakoiri.host.conversations.model import ApiKey

async def main():
    database = await open_database(sys.argv[1])
    for number in range(20):
        key = ApiKey(f"k{number}", "default", "n", datetime.now(UTC), None)
        await SqlKeyStore(database).add_key(key, secret_hash=b"x")
    await database.close()

run(main)
"""
    store = SqlConversationStore(database)
    await store.create(conversation("a"))
    async with await anyio.open_process(
        [sys.executable, "-c", script, url],
        env={"PYTHONPATH": ":".join(sys.path)},
    ) as process:
        writes = 0
        while process.returncode is None:
            await store.set_session_id("w-a", "ab")
            writes += 1
    assert process.returncode == 0
    assert writes
    async with database.reading() as connection:
        assert await connection.scalar(sa.text("SELECT count(*) FROM api_keys")) == 20
