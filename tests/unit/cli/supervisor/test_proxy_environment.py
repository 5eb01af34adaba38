import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.cli.supervisor.preparation import PreparationError
from hakoiri.cli.supervisor.proxy_environment import parse_assignments, read_proxy_environment


def secrets_file(directory: Path, *, mode: int = 0o600) -> Path:
    path = directory / "proxy.env"
    path.write_text("A_KEY=planted\n")
    path.chmod(mode)
    return path


@pytest.mark.root
def test_the_proxys_environment_is_read_from_roots_own_file(tmp_path: Path) -> None:
    assert read_proxy_environment(secrets_file(tmp_path)) == {"A_KEY": "planted"}
    assert read_proxy_environment(tmp_path / "absent") == {}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o602, 0o620, 0o644, 0o601])
def test_a_file_of_secrets_that_others_can_open_is_refused_with_the_mend(
    tmp_path: Path, mode: int
) -> None:
    with pytest.raises(PreparationError, match="chmod 600") as told:
        read_proxy_environment(secrets_file(tmp_path, mode=mode))
    assert "planted" not in str(told.value)


@pytest.mark.root
def test_a_file_of_secrets_that_is_another_users_is_refused(tmp_path: Path) -> None:
    path = secrets_file(tmp_path)
    os.chown(path, 65534, 65534)
    with pytest.raises(PreparationError, match="chown root"):
        read_proxy_environment(path)


def test_a_link_to_a_file_of_secrets_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(secrets_file(tmp_path))
    with pytest.raises(PreparationError, match="is a link"):
        read_proxy_environment(tmp_path / "link")


def test_lines_are_names_and_values_and_the_rest_is_told_by_its_number() -> None:
    text = "# a comment\n\nA=1\n B = 'two words' \nC=x=y\n"
    assert parse_assignments(Path("f"), text) == {"A": "1", "B": "two words", "C": "x=y"}
    for wrong in ("planted", "export A=planted", "=planted", "a-b=planted"):
        with pytest.raises(PreparationError, match="f, line 2") as told:
            parse_assignments(Path("f"), f"A=1\n{wrong}\n")
        assert "planted" not in str(told.value)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_assignments(Path("f"), text)
    except PreparationError:
        return
    assert all(name.isidentifier() for name in found)
