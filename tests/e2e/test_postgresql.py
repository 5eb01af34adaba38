"""A whole Hakoiri on PostgreSQL: turns, restarts, and a database that goes away."""

import asyncio
import time
from collections.abc import Iterator
from typing import Final

import asyncpg
import pytest
from tests.e2e.running import Hakoiri, data_of, hakoiri
from tests.e2e.scripts import RUN
from tests.e2e.talk import Talk
from tests.e2e.test_failures import is_gapless, is_ready
from tests.engine import TestEngine
from tests.postgresql_server import PostgresqlServer
from tests.waiting import until

from hakoiri.cli.api_client import ApiError

pytestmark = [pytest.mark.engine, pytest.mark.root]

AWAY_S: Final = 20.0
"""Longer than a silent stream goes without a look at the log."""


@pytest.fixture(scope="module")
def database(postgresql: PostgresqlServer) -> str:
    return postgresql.new_database()


@pytest.fixture(scope="module")
def server(
    engine: TestEngine,
    image: str,
    database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Hakoiri]:
    with hakoiri(
        tmp_path_factory.mktemp("on-postgresql"),
        docker_host=engine.docker_host,
        script=RUN,
        settings={
            "HAKOIRI_CONTAINER__IMAGE": image,
            "HAKOIRI_DATABASE_URL": database,
            "HAKOIRI_COORDINATION__LEASE_S": "6",
        },
    ) as running:
        yield running


def test_a_conversation_outlives_its_server(server: Hakoiri) -> None:
    conversation = server.conversation()
    assert server.turn(conversation, "run: echo kept > kept")[-1]["type"] == "result"
    server.server.stop()
    server.server.start()
    server.server.until_ready()
    assert server.turn(conversation, "run: cat kept")[-1]["data"]["text"] == "done: kept"
    assert is_gapless(server, conversation)
    assert list(server.data_dir.glob("*.sqlite*")) == []


def test_a_database_that_goes_away_is_told_and_comes_back(
    server: Hakoiri, postgresql: PostgresqlServer
) -> None:
    conversation = server.conversation()
    server.turn(conversation, "run: echo before > before")
    postgresql.stop()
    try:
        until(lambda: not is_ready(server))
        with pytest.raises(ApiError) as refused:
            server.turn(conversation, "run: echo meanwhile > meanwhile")
        assert refused.value.problem is not None
        assert refused.value.problem.status == 503
    finally:
        postgresql.start()
    until(lambda: is_ready(server))
    assert server.turn(conversation, "run: cat before")[-1]["data"]["text"] == "done: before"
    assert is_gapless(server, conversation)


def test_a_turn_that_loses_its_database_for_a_while_ends_by_itself(
    server: Hakoiri, postgresql: PostgresqlServer
) -> None:
    """One has something to record meanwhile, one only afterwards."""
    texts = ("run: sleep 3; echo meanwhile", f"run: sleep {AWAY_S + 20:g}; echo after")
    conversations = [server.conversation() for _ in texts]
    talks = [Talk(server, *about) for about in zip(conversations, texts, strict=True)]
    for talk in talks:
        talk.until_tool_runs()
    postgresql.stop()
    try:
        away_until_s = time.monotonic() + AWAY_S
        until(lambda: time.monotonic() > away_until_s)
    finally:
        postgresql.start()
    ends = [talk.end() for talk in talks]
    assert [end["data"].get("code") for end in ends] == ["record-failed", None]
    assert ends[1]["data"]["text"] == "done: after"
    for conversation in conversations:
        path = f"/v1/conversations/{conversation}"
        assert not server.api.call("GET", path)["running"], "without another message"
        assert is_gapless(server, conversation)
        assert len([one for one in server.log(conversation) if one["type"] == "user_message"]) == 1
    meanwhile, after = conversations
    assert server.turn(after, "run: echo usable")[-1]["data"]["text"] == "done: usable"
    assert server.turn(meanwhile, "run: echo usable")[-1]["type"] == "result"
    server.api.call("DELETE", f"/v1/conversations/{meanwhile}")


def test_a_turn_that_nobody_runs_is_taken_up_by_a_server_alone(
    server: Hakoiri, database: str
) -> None:
    conversation = server.conversation()
    server.turn(conversation, "run: echo once > once")

    async def leave_running() -> None:
        connection = await asyncpg.connect(database)
        try:
            about = "UPDATE conversations SET running = true WHERE id = $1"
            assert await connection.execute(about, conversation) == "UPDATE 1"
        finally:
            await connection.close()

    asyncio.run(leave_running())
    path = f"/v1/conversations/{conversation}"
    until(lambda: not server.api.call("GET", path)["running"])
    codes = [told["code"] for told in data_of(server.log(conversation), "notice")]
    assert codes == ["turn-taken-up"]
