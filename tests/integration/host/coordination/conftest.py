"""One Redis for all of these tests; each has keys of its own."""

from collections.abc import Iterator
from itertools import count

import pytest
from tests.integration.host.coordination.arenas import Arena, InProcessArena, RedisArena
from tests.redis_server import RedisServer, redis_server

NAMES = count(1)


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that a test may stop and kill."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_arena(shared_redis: RedisServer) -> RedisArena:
    return RedisArena(shared_redis, namespace=f"test-{next(NAMES)}")


@pytest.fixture(params=["in process", "redis"])
def arena(request: pytest.FixtureRequest) -> Arena:
    if request.param == "redis":
        found: RedisArena = request.getfixturevalue("redis_arena")
        return found
    return InProcessArena()
