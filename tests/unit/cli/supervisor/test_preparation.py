import os
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.cli.demo.server_process import free_port
from hakoiri.cli.supervisor.preparation import (
    PreparationError,
    instance_id,
    open_kernel_log,
    parse_assignments,
    read_proxy_environment,
    require_free_port,
    take_lock,
)


def test_a_port_that_somebody_listens_on_is_refused_by_name() -> None:
    port = free_port()
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(PreparationError, match=f"port {port}.*HAKOIRI_PORT"),
    ):
        require_free_port("127.0.0.1", port)
    require_free_port("127.0.0.1", port)


def test_a_data_directory_is_taken_as_long_as_whoever_inherited_its_lock_lives(
    tmp_path: Path,
) -> None:
    lock = take_lock(tmp_path / "lock")
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=(lock,)) as heir:
        os.close(lock)
        with pytest.raises(PreparationError, match="another hakoiri serve"):
            take_lock(tmp_path / "lock")
        heir.communicate()
    os.close(take_lock(tmp_path / "lock"))


def test_an_address_that_is_not_of_this_machine_is_refused() -> None:
    with pytest.raises(PreparationError, match=r"192\.0\.2\.1.*HAKOIRI_HOST"):
        require_free_port("192.0.2.1", 8420)


def test_an_instance_has_its_id_from_its_first_use_on(tmp_path: Path) -> None:
    made = instance_id(tmp_path / "instance")
    assert len(made) == 12
    assert instance_id(tmp_path / "instance") == made


@pytest.mark.parametrize(
    "said", ["../../../../etc", "", "0123456789abc", "0123456789a\n/", "A" * 12]
)
def test_what_the_server_may_have_written_is_no_path_for_root(tmp_path: Path, said: str) -> None:
    (tmp_path / "instance").write_text(said)
    with pytest.raises(PreparationError, match="instance id"):
        instance_id(tmp_path / "instance")


def test_no_link_of_the_server_is_written_or_read_through(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    (tmp_path / "instance.partial").symlink_to(precious)
    made = instance_id(tmp_path / "instance")
    assert precious.read_text() == "kept"
    (tmp_path / "instance").rename(tmp_path / "other")
    (tmp_path / "instance").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic links"):
        instance_id(tmp_path / "instance")
    assert (tmp_path / "other").read_text().strip() == made


def test_the_kernels_log_is_read_from_its_end_and_is_no_must(tmp_path: Path) -> None:
    written = tmp_path / "kmsg"
    written.write_text("from before\n")
    descriptor = open_kernel_log(written)
    assert descriptor is not None
    with os.fdopen(descriptor) as file:
        assert file.read() == ""
        assert not os.get_inheritable(file.fileno())
    assert open_kernel_log(tmp_path / "none") is None


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
