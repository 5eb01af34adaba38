import os
from pathlib import Path

import pytest

from hakoiri.host.adapters.redis.opening import read_redis_credentials
from hakoiri.host.coordination.ports import CoordinationError


def written(directory: Path, text: str) -> Path:
    path = directory / "redis.toml"
    path.write_text(text)
    path.chmod(0o640)
    return path


def test_the_password_is_read_and_does_not_show(tmp_path: Path) -> None:
    path = written(tmp_path, 'username = "hakoiri"\npassword = "planted-redis"\n')
    found = read_redis_credentials(path, owner_uid=os.geteuid())
    assert found.username == "hakoiri"
    assert found.password.get_secret_value() == "planted-redis"
    assert "planted-redis" not in repr(found)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "planted-redis",
        'password = ""',
        'username = "u"',
        'password = "planted-redis"\nplanted-redis = 1',
        'password = "p"\nusername = "planted redis"',
    ],
)
def test_what_is_wrong_is_told_without_what_is_in_it(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(CoordinationError, match=r"coordination\.credentials_file") as refused:
        read_redis_credentials(path, owner_uid=os.geteuid())
    assert "planted" not in str(refused.value)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, 'password = "p"')
    path.chmod(0o644)
    with pytest.raises(CoordinationError, match="chmod 0640"):
        read_redis_credentials(path, owner_uid=os.geteuid())
