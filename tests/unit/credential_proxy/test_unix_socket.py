import os
import socket
from pathlib import Path

import pytest

from hakoiri.credential_proxy.unix_socket import SocketPathError, listen_at


def connect(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(os.fspath(path))


def test_a_socket_listens_with_its_mode_and_replaces_a_stale_one(tmp_path: Path) -> None:
    path = tmp_path / "s"
    for mode in (0o666, 0o660):
        with listen_at(path, mode=mode):
            assert path.stat().st_mode & 0o777 == mode
            connect(path)
        with pytest.raises(ConnectionRefusedError):
            connect(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_that_no_socket_can_have_is_refused_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(SocketPathError, match="shorter directory"):
        listen_at(tmp_path / ("a" * 100), mode=0o600)
    with pytest.raises(SocketPathError, match="cannot listen"):
        listen_at(tmp_path / "absent" / "s", mode=0o600)


def test_a_directory_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    with pytest.raises(SocketPathError):
        listen_at(tmp_path / "s", mode=0o600)
