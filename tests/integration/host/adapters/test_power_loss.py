"""A file system of its own that loses all that is not on its disk, as when the power goes."""

import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hakoiri.docker_guard.disks import EXT4_IOC_SHUTDOWN, NO_FLUSH
from hakoiri.host.adapters.object_store import open_object_store
from hakoiri.host.files.collection import ARCHIVE_PREFIX

pytestmark = [pytest.mark.anyio, pytest.mark.root]

KEY = "tenants/acme/packs/ab/1"
OBJECT = os.urandom(300_000)
OTHERS = os.urandom(4 * 1024 * 1024)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Disk:
    """A small ext4 in a file, mounted."""

    def __init__(self, directory: Path) -> None:
        self._image, self.path = directory / "image", directory / "mounted"
        with self._image.open("wb") as image:
            image.truncate(64 * 1024 * 1024)
        subprocess.run(["mkfs.ext4", "-q", self._image], check=True)
        self.path.mkdir()
        self.mount()

    def mount(self) -> None:
        options = "loop,nosuid,nodev,noexec"
        subprocess.run(["mount", "-o", options, self._image, self.path], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", self.path], check=True)

    def lose_power(self) -> None:
        """Drop what is not on the disk, and find what is."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, NO_FLUSH)
        finally:
            os.close(descriptor)
        self.unmount()
        self.mount()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path)
    yield made
    made.unmount()


async def test_what_was_put_is_there_and_nobody_elses_bytes_were_waited_for(disk: Disk) -> None:
    """Such as those of boxes' disks, which a box can fill as fast as it likes."""
    store = open_object_store((disk.path / "made/objects").as_uri())
    others = disk.path / "others"
    others.write_bytes(OTHERS)
    await store.put(KEY, OBJECT)
    disk.lose_power()
    assert await store.get(KEY, limit_bytes=len(OBJECT)) == OBJECT
    assert not others.exists() or others.read_bytes() != OTHERS


async def test_what_was_moved_into_the_archive_and_back_is_there(disk: Disk) -> None:
    store = open_object_store((disk.path / "objects").as_uri())
    await store.put(KEY, OBJECT)
    await store.archive(KEY)
    disk.lose_power()
    place = disk.path / "objects" / ARCHIVE_PREFIX / KEY
    assert place.read_bytes() == OBJECT
    await store.bring_back(KEY)
    disk.lose_power()
    assert await store.get(KEY, limit_bytes=len(OBJECT)) == OBJECT
    assert place.exists()
