"""Two whole servers on one database, one object store and one Redis; processes as an operator's."""

import grp
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import Hakoiri, data_of, hakoiri
from tests.e2e.scripts import RUN
from tests.e2e.talk import Talk
from tests.engine import TestEngine
from tests.redis_server import PASSWORD, RedisServer, credentials_file, redis_server
from tests.waiting import until

from hakoiri.cli.api_client import ApiError

pytestmark = [pytest.mark.engine, pytest.mark.root]

LEASE_S = 6
COUNTER = "hakoiri:token"
"""Grows with each lease that is given (`adapters/redis/leases`)."""

LEASE = "hakoiri:lease:"

HELD = "touch held; until [ -e go-on ]; do sleep 0.1; done"
"""What a turn runs until it is let go."""


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@contextmanager
def pair(
    directories: pytest.TempPathFactory,
    *,
    docker_host: str,
    redis: RedisServer,
    settings: Mapping[str, str],
) -> Iterator[tuple[Hakoiri, Hakoiri]]:
    """Run two servers that share their objects and Redis, and a database: by default a SQLite."""
    shared = directories.mktemp("shared")
    shared.chmod(0o755)
    group = grp.getgrnam("hakoiri").gr_gid
    for name in ("database", "objects"):
        (shared / name).mkdir(mode=0o770)
        os.chown(shared / name, 0, group)
        (shared / name).chmod(0o770)
    credentials = credentials_file(shared)
    os.chown(credentials, 0, group)
    common = {
        "HAKOIRI_DATABASE_URL": f"sqlite:///{shared}/database/hakoiri.sqlite",
        "HAKOIRI_OBJECT_STORE_URL": f"file://{shared}/objects",
        "HAKOIRI_REDIS_URL": redis.url,
        "HAKOIRI_COORDINATION__CREDENTIALS_FILE": str(credentials),
        **settings,
    }
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(
                hakoiri(
                    directories.mktemp(name), docker_host=docker_host, script=RUN, settings=common
                )
            )
            for name in ("one", "other")
        )
        yield one, other


@pytest.fixture(scope="module")
def servers(
    engine: TestEngine, image: str, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Hakoiri, Hakoiri]]:
    with pair(
        tmp_path_factory,
        docker_host=engine.docker_host,
        redis=redis,
        settings={
            "HAKOIRI_CONTAINER__IMAGE": image,
            "HAKOIRI_COORDINATION__LEASE_S": str(LEASE_S),
        },
    ) as made:
        yield made


def let_go(server: Hakoiri) -> None:
    """Let the one turn end that is held at this server, once it is."""

    def held() -> list[Path]:
        found = [server.tree / box / "workspace" for box in server.boxes()]
        return [one for one in found if (one / "held").exists() and not (one / "go-on").exists()]

    (workspace,) = until(held)
    (workspace / "go-on").touch()


def is_ready(server: Hakoiri) -> bool:
    try:
        server.api.call("GET", "/ready")
    except ApiError:
        return False
    return True


def is_gapless_and_once(server: Hakoiri, conversation: str) -> list[dict[str, Any]]:
    """The log: numbered without a gap, one end for each message."""
    log = server.log(conversation)
    assert [event["id"] for event in log] == list(range(1, len(log) + 1))
    messages = [event for event in log if event["type"] == "user_message"]
    ends = [event for event in log if event["type"] in ("result", "error")]
    assert [event["turn"] for event in messages] == [event["turn"] for event in ends]
    return log


def test_a_turn_runs_once_is_seen_from_both_and_its_workspace_is_fetched(
    servers: tuple[Hakoiri, Hakoiri],
) -> None:
    one, other = servers
    conversation = one.conversation()
    turn = Talk(one, conversation, f"run: echo made > file; {HELD}; echo ended")
    until(lambda: any(event["type"] == "tool_use" for event in turn.events))
    with pytest.raises(ApiError) as refused:
        other.turn(conversation, "run: echo twice")
    assert refused.value.problem is not None
    assert refused.value.problem.code == "turn-running"
    seen = []
    for event in other.api.follow(conversation):  # live, from the server that does not run it
        seen.append(event)
        if event["type"] == "tool_use":
            let_go(one)
        if event["type"] in ("result", "error"):
            break
    assert turn.end()["type"] == "result"
    assert [event["id"] for event in seen] == list(range(1, len(seen) + 1))
    assert one.boxes()
    # The other server needs the workspace now: the first gives its idle container up.
    events = other.turn(conversation, "run: cat file")
    assert "made" in str(data_of(events, "tool_result"))
    assert not one.boxes()
    assert other.boxes()
    is_gapless_and_once(one, conversation)


def test_a_file_that_was_put_into_a_live_workspace_is_there_at_the_other_server(
    servers: tuple[Hakoiri, Hakoiri],
) -> None:
    one, other = servers
    conversation = one.conversation()
    one.turn(conversation, "run: echo first > first")
    for number, (giver, taker) in enumerate([(one, other), (other, one), (one, other)]):
        assert giver.boxes()
        content = f"put {number}\n".encode()
        path = f"/v1/conversations/{conversation}/workspace/files/put-{number}"
        giver.api.upload(path, iter([content]), size=len(content))
        events = taker.turn(conversation, f"run: cat first put-{number}")
        assert data_of(events, "tool_result")[0]["text"] == f"first\nput {number}"
    is_gapless_and_once(one, conversation)


def test_a_redis_that_goes_and_comes_back_doubles_nothing(
    servers: tuple[Hakoiri, Hakoiri], redis: RedisServer
) -> None:
    one, other = servers
    conversation, waiting = one.conversation(), one.conversation()
    turn = Talk(one, conversation, f"run: {HELD}; echo ended")
    until(lambda: any(event["type"] == "tool_use" for event in turn.events))
    redis.kill()
    with pytest.raises(ApiError) as refused:
        one.turn(waiting, "run: true")
    assert refused.value.problem is not None
    assert refused.value.problem.code == "coordination-away"
    until(lambda: not is_ready(one) and not is_ready(other))
    assert "hakoiri_coordination_up 0" in one.api.download("/metrics").decode()
    redis.start()  # it has forgotten everything
    until(lambda: is_ready(one) and is_ready(other))
    with pytest.raises(ApiError) as refused:
        other.turn(conversation, "run: echo twice")
    assert refused.value.problem is not None
    assert refused.value.problem.code in ("turn-running", "unsettled")
    let_go(one)
    turn.end()
    events = turn.events
    assert "ended" in str(data_of(events, "tool_result"))
    assert events[-1]["type"] == "result"
    assert one.turn(waiting, "run: true")[-1]["type"] == "result"
    for name in (conversation, waiting):
        is_gapless_and_once(other, name)


def test_a_server_that_is_killed_takes_its_turn_up_again_and_the_other_lets_it(
    servers: tuple[Hakoiri, Hakoiri], redis: RedisServer
) -> None:
    one, other = servers
    conversation = one.conversation()
    one.api.call(
        "POST",
        f"/v1/conversations/{conversation}/messages",
        {"text": f"run: {HELD}; echo ended"},
    )
    until(lambda: any(event["type"] == "tool_use" for event in other.log(conversation)))
    before = other.log(conversation)
    one.kill_all()
    with redis.client() as client:
        granted = client.get(COUNTER)
        # its lease runs out, the other takes that to look at the turn, and gives it back
        until(lambda: client.get(COUNTER) != granted)
        until(lambda: not client.exists(f"{LEASE}turn:{conversation}"))
    assert other.log(conversation) == before
    one.server.start()
    one.server.until_ready()
    let_go(one)
    until(lambda: other.log(conversation)[-1]["type"] in ("result", "error"))
    log = is_gapless_and_once(other, conversation)
    assert log[-1]["type"] == "result"
    assert "ended" in str(data_of(log, "tool_result"))
    assert [event["data"]["code"] for event in log if event["type"] == "notice"] == [
        "turn-taken-up"
    ]


def test_what_is_set_at_one_server_counts_at_the_other(servers: tuple[Hakoiri, Hakoiri]) -> None:
    one, other = servers
    setting = one.api.call("GET", "/v1/pool")["configuration"]
    setting["max_age_s"] = 1234.0
    one.api.call("PUT", "/v1/pool", setting)
    until(lambda: other.api.call("GET", "/v1/pool")["configuration"]["max_age_s"] == 1234.0)
    one.api.call("DELETE", "/v1/pool")
    until(lambda: other.api.call("GET", "/v1/pool")["source"] == "settings")


def test_the_password_is_seen_nowhere(servers: tuple[Hakoiri, Hakoiri]) -> None:
    for server in servers:
        assert PASSWORD not in server.server.log.read_text(errors="replace")
        for pid in server.processes("hakoiri.host"):
            for name in ("environ", "cmdline"):
                assert PASSWORD.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()
