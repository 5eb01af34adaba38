"""A whole Hakoiri on PostgreSQL: turns, restarts, and a database that goes away."""

from collections.abc import Iterator

import pytest
from tests.e2e.running import Hakoiri, hakoiri
from tests.e2e.scripts import RUN
from tests.e2e.test_failures import is_gapless, is_ready
from tests.engine import TestEngine
from tests.postgresql_server import PostgresqlServer
from tests.waiting import until

from hakoiri.cli.api_client import ApiError

pytestmark = [pytest.mark.engine, pytest.mark.root]


@pytest.fixture(scope="module")
def server(
    engine: TestEngine,
    image: str,
    postgresql: PostgresqlServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Hakoiri]:
    with hakoiri(
        tmp_path_factory.mktemp("on-postgresql"),
        docker_host=engine.docker_host,
        script=RUN,
        settings={
            "HAKOIRI_CONTAINER__IMAGE": image,
            "HAKOIRI_DATABASE_URL": postgresql.new_database(),
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
