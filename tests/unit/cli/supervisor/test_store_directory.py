from pathlib import Path

import pytest

from hakoiri.cli.supervisor.preparation import PreparationError
from hakoiri.cli.supervisor.store_directory import store_directories
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
