"""Two whole servers on PostgreSQL and one Redis, of which one is killed and stays away."""

from collections.abc import Iterator

import pytest
from tests.e2e.running import Hakoiri, data_of
from tests.e2e.test_two_servers import HELD, is_gapless_and_once, let_go, pair
from tests.engine import TestEngine
from tests.postgresql_server import PostgresqlServer
from tests.redis_server import RedisServer, redis_server
from tests.waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.root]

LEASE_S = 6


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def servers(
    engine: TestEngine,
    image: str,
    redis: RedisServer,
    postgresql: PostgresqlServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Hakoiri, Hakoiri]]:
    with pair(
        tmp_path_factory,
        docker_host=engine.docker_host,
        redis=redis,
        settings={
            "HAKOIRI_CONTAINER__IMAGE": image,
            "HAKOIRI_DATABASE_URL": postgresql.new_database(),
            "HAKOIRI_COORDINATION__LEASE_S": str(LEASE_S),
            "HAKOIRI_COORDINATION__GIVE_UP_AFTER_S": "3",
        },
    ) as made:
        yield made


def notices(log: list[dict[str, object]]) -> list[object]:
    return [event["data"]["code"] for event in log if event["type"] == "notice"]  # type: ignore[index]


def test_the_other_server_answers_what_a_killed_one_left_and_that_one_writes_nothing_more(
    servers: tuple[Hakoiri, Hakoiri],
) -> None:
    one, other = servers
    talking, resting = one.conversation(), one.conversation()
    one.turn(talking, "run: echo saved > file")
    one.turn(resting, "run: echo resting > file")
    text = f"run: echo lost > lost; {HELD}; cat file"
    one.api.call("POST", f"/v1/conversations/{talking}/messages", {"text": text})
    until(lambda: [event["type"] for event in other.log(talking)].count("tool_use") == 2)
    until(lambda: any((one.tree / box / "workspace/lost").exists() for box in one.boxes()))
    left = one.boxes()
    assert len(left) == 2
    one.kill_all()
    try:
        let_go(other)
        until(lambda: other.log(talking)[-1]["type"] in ("result", "error"))
        log = is_gapless_and_once(other, talking)
        assert log[-1]["type"] == "result"
        assert "saved" in log[-1]["data"]["text"]
        assert notices(log)[:2] == ["workspace-taken-over", "turn-taken-up"]
        (recovered,) = data_of(log, "container_recovered")
        assert recovered["reason"] == "its server is gone"
        (lost,) = recovered["lost_paths"]
        assert "since the last recovery point" in lost
        asked = [entry for entry in other.model_requests() if text in entry["user_texts"]]
        assert asked
        assert {entry["user_texts"].count(text) for entry in asked} == {1}
        # One that rested goes on here, too, and writes what its old server must not overwrite.
        assert notices(other.log(resting)) == ["workspace-taken-over"]
        assert (
            "resting" in other.turn(resting, "run: cat file; echo newer > file")[-1]["data"]["text"]
        )
    finally:
        one.server.start()
    one.server.until_ready()
    assert one.boxes() == [], "it removes what was taken from it, and saves none of it"
    for server in (one, other):
        assert "newer" in server.turn(resting, "run: cat file")[-1]["data"]["text"]
        is_gapless_and_once(server, resting)
    assert "saved" in one.turn(talking, "run: cat file")[-1]["data"]["text"]
    is_gapless_and_once(one, talking)


def test_turns_alternate_between_the_servers(servers: tuple[Hakoiri, Hakoiri]) -> None:
    one, other = servers
    conversation = other.conversation()
    for number, server in enumerate((one, other, other, one)):
        last = server.turn(conversation, f"run: echo {number} >> file; paste -sd, file")[-1]
        assert last["data"]["text"] == "done: " + ",".join(map(str, range(number + 1)))
    is_gapless_and_once(other, conversation)
