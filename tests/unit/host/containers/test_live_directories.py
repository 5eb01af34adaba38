import os
from pathlib import Path

import anyio
import pytest

from hakoiri.host.containers.live_directories import LiveDirectories
from hakoiri.host.containers.ports import ContainersError

pytestmark = pytest.mark.anyio


def keeper(root: Path) -> LiveDirectories:
    return LiveDirectories(root=root, owner_uid=os.getuid(), owner_gid=os.getgid())


async def test_what_is_made_is_private_and_what_is_removed_is_gone(tmp_path: Path) -> None:
    live = keeper(tmp_path / "live")
    made = live.make("c1")
    assert [oct(path.stat().st_mode & 0o7777) for path in (made.workspace, made.home)] == [
        "0o700",
        "0o700",
    ]
    assert live.present() == ["c1"]
    await live.remove("c1")
    assert live.present() == []
    await live.remove("c1")


def test_a_container_does_not_get_the_directory_of_another(tmp_path: Path) -> None:
    live = keeper(tmp_path / "live")
    live.make("c1")
    with pytest.raises(ContainersError, match="c1"):
        live.make("c1")


async def test_removal_follows_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("kept")
    live = keeper(tmp_path / "live")
    made = live.make("c1")
    (made.workspace / "link").symlink_to(outside)
    (made.workspace / "file").symlink_to(outside / "precious")
    await live.remove("c1")
    assert (outside / "precious").read_text() == "kept"


async def test_removal_bears_hostile_names_modes_and_depth(tmp_path: Path) -> None:
    live = keeper(tmp_path / "live")
    made = live.make("c1")
    (made.workspace / "-rf\n*").touch()
    (made.workspace / os.fsdecode(b"\xff\xfe")).touch()
    os.mkfifo(made.workspace / "fifo")
    descriptor = os.open(made.workspace, os.O_DIRECTORY)
    for _ in range(3000):  # deeper than any path can name, and than Python recurses
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_DIRECTORY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    await live.remove("c1")
    assert live.present() == []


@pytest.mark.root
async def test_removal_does_not_reach_into_another_file_system(tmp_path: Path) -> None:
    live = keeper(tmp_path / "live")
    mounted = live.make("c1").workspace / "mounted"
    mounted.mkdir()
    await anyio.run_process(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mounted)])
    try:
        (mounted / "precious").write_text("kept")
        with pytest.raises(ContainersError, match="c1"):
            await live.remove("c1")
        assert (mounted / "precious").read_text() == "kept"
    finally:
        await anyio.run_process(["umount", str(mounted)])
    await live.remove("c1")
    assert live.present() == []
