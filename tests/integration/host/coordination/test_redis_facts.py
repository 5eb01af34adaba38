"""What `hakoiri doctor` learns of a real Redis."""

from pathlib import Path

import pytest
from tests.redis_server import PASSWORD, RedisServer, credentials_file

from hakoiri.cli.doctor.coordination_checks import check_redis
from hakoiri.cli.doctor.coordination_facts import parse_info, read_redis
from hakoiri.cli.doctor.finding import State
from hakoiri.host.coordination_settings import CoordinationSettings
from hakoiri.host.settings import Settings

pytestmark = pytest.mark.root


def settings(url: str | None, credentials: Path | None = None) -> Settings:
    given = CoordinationSettings(credentials_file=credentials)
    return Settings(redis_url=url, coordination=given)


def test_without_a_url_nothing_is_asked() -> None:
    assert read_redis(settings(None)) is None


@pytest.mark.parametrize("way", ["url", "socket_url"])
def test_a_redis_that_takes_us_is_fit(redis: RedisServer, tmp_path: Path, way: str) -> None:
    facts = read_redis(settings(getattr(redis, way), credentials_file(tmp_path)))
    assert facts is not None
    assert facts.problem == ""
    assert facts.eviction == "noeviction"
    assert check_redis(facts).state is State.OK


def test_one_that_throws_keys_away_is_told(redis: RedisServer, tmp_path: Path) -> None:
    with redis.client() as client:
        client.config_set("maxmemory", 100_000_000)
        client.config_set("maxmemory-policy", "allkeys-lru")
    facts = read_redis(settings(redis.url, credentials_file(tmp_path)))
    assert facts is not None
    assert check_redis(facts).state is State.WARNING


def test_what_is_in_the_way_is_told_without_a_secret(redis: RedisServer, tmp_path: Path) -> None:
    without = read_redis(settings(redis.url))
    assert without is not None
    assert "uthenticat" in without.problem
    path = credentials_file(tmp_path)
    path.write_text('password = "planted-wrong-secret"\n')
    wrong = read_redis(settings(redis.url, path))
    assert wrong is not None
    assert wrong.problem
    assert "planted-wrong-secret" not in wrong.problem
    path.chmod(0o644)
    opened = read_redis(settings(redis.url, path))
    assert opened is not None
    assert "chmod 0640" in opened.problem
    redis.kill()
    path.chmod(0o640)
    path.write_text(f'password = "{PASSWORD}"\n')
    away = read_redis(settings(redis.url, path))
    assert away is not None
    assert away.problem


def test_lines_that_are_no_facts_are_left_out() -> None:
    facts = parse_info("# Server\r\nredis_version:7.0.15\r\n\r\nmaxmemory:many\r\n")
    assert (facts.version, facts.memory_limit_bytes) == ("7.0.15", 0)
