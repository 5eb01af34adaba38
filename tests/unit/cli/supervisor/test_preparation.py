import os
import socket
import subprocess
from pathlib import Path

import pytest

from hakoiri.cli.demo.server_process import free_port
from hakoiri.cli.supervisor.preparation import (
    PreparationError,
    instance_id,
    open_kernel_log,
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


def test_an_earlier_server_that_ends_is_waited_for_and_one_that_does_not_is_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "lock"
    held = [take_lock(path)]
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        if held and now[0] > 3:
            os.close(held.pop())

    taken = take_lock(path, wait_s=4, clock=lambda: now[0], sleep=sleep)
    assert 3 < now[0] < 4
    with pytest.raises(PreparationError, match="another hakoiri serve"):
        take_lock(path, wait_s=4, clock=lambda: now[0], sleep=sleep)
    assert 7 < now[0] < 8
    os.close(taken)


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
