from pathlib import Path

import pytest

from hakoiri.cli.supervisor.preparation import PreparationError
from hakoiri.cli.supervisor.store_directory import store_directories
from hakoiri.host.coordination_settings import CoordinationSettings
from hakoiri.host.settings import ObjectStoreSettings, Settings

PROXYS = Path("/etc/hakoiri")


def settings(path: str | None) -> Settings:
    file = None if path is None else Path(path)
    return Settings().model_copy(
        update={"object_store": ObjectStoreSettings(credentials_file=file)}
    )


def test_without_a_file_there_is_no_directory() -> None:
    assert store_directories(settings(None), apart_from=[PROXYS]) == ()


def test_the_files_directory_is_shown_whole_so_that_a_new_file_is_seen() -> None:
    found = store_directories(settings("/etc/hakoiri-store/keys.toml"), apart_from=[PROXYS])
    assert found == (Path("/etc/hakoiri-store"),)


@pytest.mark.parametrize(
    "path", ["/etc/hakoiri/keys.toml", "/etc/hakoiri/deeper/keys.toml", "/etc/keys.toml", "/k.toml"]
)
def test_a_directory_that_would_show_more_is_refused(path: str) -> None:
    with pytest.raises(PreparationError, match="a directory of its own"):
        store_directories(settings(path), apart_from=[PROXYS])


def test_a_relative_path_is_refused() -> None:
    with pytest.raises(PreparationError, match="absolute"):
        store_directories(settings("keys.toml"), apart_from=[PROXYS])


def coordinated(**coordination: Path | str) -> Settings:
    url = coordination.pop("redis_url", None)
    given = CoordinationSettings.model_validate(coordination)
    return Settings().model_copy(update={"coordination": given, "redis_url": url})


def test_redis_credentials_and_socket_are_shown_too() -> None:
    found = store_directories(
        coordinated(
            redis_url="unix:///run/hakoiri-redis/redis.sock",
            credentials_file=Path("/etc/hakoiri-redis/redis.toml"),
        ),
        apart_from=[PROXYS],
    )
    assert found == (Path("/etc/hakoiri-redis"), Path("/run/hakoiri-redis"))
    assert store_directories(coordinated(redis_url="redis://127.0.0.1"), apart_from=[PROXYS]) == ()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"credentials_file": Path("/etc/hakoiri/redis.toml")}, "COORDINATION__CREDENTIALS_FILE"),
        ({"credentials_file": Path("redis.toml")}, "absolute"),
        ({"redis_url": "unix:///etc/hakoiri/redis.sock"}, "HAKOIRI_REDIS_URL"),
        ({"redis_url": "unix:///etc/hakoiri/deeper/redis.sock"}, "HAKOIRI_REDIS_URL"),
        ({"redis_url": "unix:///etc/redis.sock"}, "HAKOIRI_REDIS_URL"),
    ],
)
def test_they_need_directories_of_their_own(given: dict[str, Path | str], named: str) -> None:
    with pytest.raises(PreparationError, match=named):
        store_directories(coordinated(**given), apart_from=[PROXYS])
