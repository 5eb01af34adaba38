from pathlib import Path

import pytest
from pydantic import ValidationError

from hakoiri.host import settings
from hakoiri.host.coordination_settings import (
    CoordinationSettings,
    check_redis_url,
    socket_directory,
)


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "redis://localhost",
        "redis://[::1]:6379",
        "rediss://redis.example.test:6380/15",
        "unix:///run/hakoiri-redis/redis.sock",
    ],
)
def test_a_place_that_is_reached_safely_is_taken(url: str) -> None:
    assert check_redis_url(url) == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://:planted-secret@127.0.0.1/0", "no password"),
        ("rediss://user@redis.example.test", "no user"),
        ("unix://:planted-secret@/run/r/redis.sock", "no password"),
        ("redis://redis.example.test:6379/0", "loopback alone"),
        ("redis://10.0.0.5:6379", "loopback alone"),
        ("rediss://redis.example.test/0?ssl_cert_reqs=none", "no options"),
        ("rediss://redis.example.test/0#planted-secret", "no options"),
        ("rediss://redis.example.test/planted-secret", "number of a database"),
        ("rediss://redis.example.test:port", "no URL"),
        ("rediss://", "name a place"),
        ("http://127.0.0.1", "begin with"),
        ("127.0.0.1:6379", "begin with"),
        ("unix:///redis.sock", "directory of its own"),
        ("unix://", "directory of its own"),
        ("", "begin with"),
    ],
)
def test_another_is_refused_and_not_shown(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        check_redis_url(url)
    assert "planted-secret" not in str(refused.value)


def test_a_refused_url_is_not_shown_by_the_settings_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HAKOIRI_REDIS_URL", "redis://:planted-secret@127.0.0.1/0")
    with pytest.raises(settings.SettingsError, match=r"redis_url.*credentials_file") as refused:
        settings.load()
    assert "planted-secret" not in str(refused.value)


def test_a_call_must_not_take_a_lease_along() -> None:
    assert CoordinationSettings(lease_s=6, timeout_s=1).lease_s == 6
    with pytest.raises(ValidationError, match=r"at most 0\.5"):
        CoordinationSettings(lease_s=3, timeout_s=1)


def test_the_sockets_directory_is_known() -> None:
    assert socket_directory("unix:///run/r/redis.sock") == (Path("/run/r"),)
    assert socket_directory("redis://127.0.0.1") == ()
    assert socket_directory(None) == ()
