"""What PostgreSQL must keep beyond the stores' contract: its promises, and those of a cluster."""

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import anyio
import anyio.to_thread
import pytest
import sqlalchemy as sa
from tests.integration.sql.conftest import NOW, conversation
from tests.postgresql_server import PostgresqlServer

from hakoiri.host.adapters.sql.conversation_store import SqlConversationStore
from hakoiri.host.adapters.sql.database import Database, DatabaseError, open_database

pytestmark = pytest.mark.anyio


@pytest.fixture
def url(postgresql: PostgresqlServer) -> str:
    return postgresql.new_database()


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = await open_database(url)
    yield opened
    await opened.close()


async def test_a_commit_is_on_disk_whatever_the_servers_default(
    url: str, postgresql: PostgresqlServer
) -> None:
    name = sa.make_url(url).database
    statement = f"ALTER DATABASE {name} SET synchronous_commit = off"
    await anyio.to_thread.run_sync(postgresql.execute, statement)
    opened = await open_database(url)
    async with opened.reading() as connection:
        assert await connection.scalar(sa.text("SHOW synchronous_commit")) == "on"
    await opened.close()


async def test_what_reads_cannot_write_and_sees_one_moment(url: str, database: Database) -> None:
    store = SqlConversationStore(database)
    await store.create(conversation("a"))
    async with database.reading() as connection:
        count = sa.text("SELECT count(*) FROM conversations")
        assert await connection.scalar(count) == 1
        await store.create(conversation("b"))
        assert await connection.scalar(count) == 1
    with pytest.raises(DatabaseError, match="read-only"):
        async with database.reading() as connection:
            await connection.execute(sa.text("DELETE FROM conversations"))


async def test_two_servers_never_write_over_each_other(url: str) -> None:
    """Each reads, then writes what it read and one more, as the stores do."""
    rounds = 30
    read = sa.text("SELECT last_event FROM conversations WHERE id = 'c-a'")
    write = sa.text("UPDATE conversations SET last_event = :value WHERE id = 'c-a'")

    async def count_up(database: Database) -> None:
        for _ in range(rounds):
            async with database.writing() as connection:
                found = await connection.scalar(read)
                await connection.execute(write, {"value": found + 1})

    async with AsyncExitStack() as stack:
        servers = [await open_database(url) for _ in range(3)]
        for server in servers:
            stack.push_async_callback(server.close)
        await SqlConversationStore(servers[0]).create(conversation("a"))
        async with anyio.create_task_group() as group:
            for server in servers:
                group.start_soon(count_up, server)
        found = await SqlConversationStore(servers[0]).get(tenant="default", conversation_id="c-a")
    assert found.last_event == rounds * len(servers)


async def test_nothing_acknowledged_is_lost_when_the_server_crashes(
    database: Database, postgresql: PostgresqlServer
) -> None:
    store = SqlConversationStore(database)
    await store.create(conversation("a"))
    await store.begin_turn(conversation_id="c-a", text="hi", now=NOW)
    await anyio.to_thread.run_sync(postgresql.stop, signal.SIGQUIT)
    try:
        with pytest.raises(DatabaseError):
            await database.check()
    finally:
        await anyio.to_thread.run_sync(postgresql.start)
    found = await store.get(tenant="default", conversation_id="c-a")
    assert (found.running, found.last_event) == (True, 1)


async def test_a_server_that_was_restarted_costs_nobody_an_error(
    database: Database, postgresql: PostgresqlServer
) -> None:
    await database.check()
    await anyio.to_thread.run_sync(postgresql.stop)
    await anyio.to_thread.run_sync(postgresql.start)
    await database.check()


async def test_a_url_holds_no_password_and_the_error_does_not_tell_it() -> None:
    with pytest.raises(DatabaseError, match="passfile") as caught:
        await open_database("postgresql://hakoiri:planted-password@db.example.test/hakoiri")
    assert "planted-password" not in str(caught.value)
