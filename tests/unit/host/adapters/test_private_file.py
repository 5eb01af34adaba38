import os
from pathlib import Path

import pytest

from hakoiri.host.adapters.private_file import LIMIT_BYTES, PrivateFileError, read_private_file


def private(directory: Path, content: bytes = b"secret") -> Path:
    path = directory / "file"
    path.write_bytes(content)
    path.chmod(0o640)
    return path


def test_what_its_owner_alone_can_write_is_read(tmp_path: Path) -> None:
    assert read_private_file(private(tmp_path), owner_uid=os.geteuid()) == b"secret"


@pytest.mark.parametrize("mode", [0o660, 0o644, 0o642, 0o641])
def test_one_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = private(tmp_path)
    path.chmod(mode)
    with pytest.raises(PrivateFileError, match="chmod 0640"):
        read_private_file(path, owner_uid=os.geteuid())


def test_so_are_somebody_elses_a_link_a_pipe_and_a_large_one(tmp_path: Path) -> None:
    path = private(tmp_path)
    with pytest.raises(PrivateFileError, match="belong to root"):
        read_private_file(path, owner_uid=os.geteuid() + 1)
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(PrivateFileError, match="link"):
        read_private_file(link, owner_uid=os.geteuid())
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o640)
    with pytest.raises(PrivateFileError, match="not a file"):
        read_private_file(pipe, owner_uid=os.geteuid())
    with pytest.raises(PrivateFileError, match="bytes"):
        read_private_file(private(tmp_path, b"x" * (LIMIT_BYTES + 1)), owner_uid=os.geteuid())
