"""Boxes' disks on real loop devices: what they bound, what they leave, what a full host does."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.disks import devices_are_let_go, disk_rules, loop_devices_of, small_disks
from tests.engine import mounts_below

from hakoiri.docker_guard import disks as disks_module
from hakoiri.docker_guard import loop_devices
from hakoiri.docker_guard.disks import Disks
from hakoiri.docker_guard.kernel_mounts import detach_below
from hakoiri.docker_guard.ownership import PLAIN
from hakoiri.docker_guard.refusal import CallRefusedError
from hakoiri.docker_guard.rules import DiskRules

pytestmark = pytest.mark.root

MIB = 1024 * 1024
ID = "c" + "0" * 16
OTHER = "c" + "1" * 16
NAMES = ("workspace", "home")
OWNER = 1000


class Host:
    """A guard's directory and what it shows of it."""

    def __init__(self, root: Path, rules: DiskRules | None = None) -> None:
        self.root = root
        self.directory = root / "disks"
        self.disks = small_disks(self.directory, rules=rules)

    def make(self, container_id: str) -> dict[str, Path]:
        shown = {name: self.root / "tree" / container_id / name for name in NAMES}
        for path in shown.values():
            path.mkdir(parents=True)
        self.disks.make(container_id, shown=shown, owner=PLAIN)
        return shown

    def remove(self, container_id: str) -> None:
        self.disks.unmount(container_id)
        detach_below(self.root / "tree" / container_id)
        subprocess.run(["rm", "-rf", str(self.disks.directory_of(container_id))], check=True)


@pytest.fixture
def small_host(root: Path) -> Iterator[Path]:
    """A host's disk of 64 MiB, which is an ordinary ext4 in a file."""
    image, at = root / "host.img", root / "host"
    at.mkdir()
    with image.open("wb") as file:
        file.truncate(64 * MIB)
    environment = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", image], check=True, env=environment)
    subprocess.run(["mount", "-o", "loop", image, at], check=True)
    yield at
    subprocess.run(["umount", "--lazy", at], check=True)


def fill(directory: Path) -> int:
    """Write until the disk says that it is full; return the bytes."""
    written = 0
    with (directory / "filler").open("wb", buffering=0) as file, pytest.raises(OSError) as full:  # noqa: PT011, PT012
        while True:
            written += file.write(b"x" * 65_536)
    assert full.value.errno == errno.ENOSPC
    return written


def fill_with_files(directory: Path) -> int:
    """Make empty files until there are no inodes; return how many."""
    made = 0
    with pytest.raises(OSError) as full:  # noqa: PT011, PT012
        while True:
            (directory / f"file-{made}").touch()
            made += 1
    assert full.value.errno == errno.ENOSPC
    return made


def test_bytes_and_inodes_of_each_are_hard_and_its_own(root: Path) -> None:
    host = Host(root)
    made, other = host.make(ID), host.make(OTHER)
    assert 14 * MIB < fill(made["workspace"]) <= 16 * MIB
    (made["home"] / "memory").write_bytes(b"x" * MIB)
    (other["workspace"] / "work").write_bytes(b"x" * MIB)
    os.sync()
    # the host's disk never holds more than the quota
    image = host.directory / ID / "workspace.img"
    assert image.stat().st_blocks * 512 <= 16 * MIB
    (made["workspace"] / "filler").unlink()
    assert 200 < fill_with_files(made["workspace"]) <= 256
    (made["home"] / "another").touch()
    assert 200 < fill_with_files(made["home"]) <= 256


def test_a_new_disk_is_empty_and_its_users(root: Path) -> None:
    made = Host(root).make(ID)
    for path in made.values():
        assert list(path.iterdir()) == []
        status = path.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (OWNER, OWNER, 0o700)


def test_what_the_box_may_execute_the_host_may_not(root: Path) -> None:
    host = Host(root)
    made = host.make(ID)
    program = made["workspace"] / "program"
    program.write_text("#!/bin/sh\nexit 42\n")
    program.chmod(0o755)
    inside = host.disks.paths(ID)["workspace"] / "program"
    assert subprocess.run([inside], check=False).returncode == 42
    with pytest.raises(PermissionError):
        subprocess.run([program], check=False)
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    flags = {Path(line[4]): set(line[5].split(",")) for line in lines}
    for name in NAMES:
        assert {"nosuid", "nodev", "noexec"} <= flags[made[name]]
        assert {"nosuid", "nodev"} <= flags[host.disks.paths(ID)[name]]
        assert "noexec" not in flags[host.disks.paths(ID)[name]]


def test_removal_lets_go_of_devices_and_space_whatever_was_written(root: Path) -> None:
    host = Host(root, disk_rules(workspace_mib=64))
    made = host.make(ID)
    assert len(loop_devices_of(root)) == 2
    (made["workspace"] / "unwritten").write_bytes(os.urandom(40 * MIB))
    host.remove(ID)
    assert devices_are_let_go(root)
    assert mounts_below(root) == []
    assert not host.disks.directory_of(ID).exists()
    host.remove(ID)


def test_the_hosts_own_file_system_is_never_shut_down(small_host: Path) -> None:
    """What is left of a box that was never mounted: its directories are the host's disk."""
    host = Host(small_host)
    for path in host.disks.paths(ID).values():
        path.mkdir(parents=True)
    host.disks.unmount(ID)
    (small_host / "still").write_text("writable")


def test_nothing_is_made_while_the_hosts_disk_is_nearly_full(root: Path) -> None:
    rules = disk_rules().model_copy(update={"floor_bytes": 2**60})
    host = Host(root, rules)
    assert "HAKOIRI_GUARD__DISK_FLOOR_MIB" in (host.disks.trouble() or "")
    with pytest.raises(CallRefusedError, match="MiB free below") as refused:
        host.make(ID)
    assert (refused.value.code, refused.value.status) == ("disk-full", 507)
    assert host.disks.present() == []
    assert Host(root / "..", disk_rules()).disks.trouble() is None


def test_without_loop_devices_or_mke2fs_nothing_is_made_and_the_mend_is_told(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(root)
    with monkeypatch.context() as without:
        without.setattr("hakoiri.docker_guard.blank_disk.find_program", lambda _: None)
        assert "e2fsprogs" in (host.disks.trouble() or "")
        with pytest.raises(CallRefusedError, match="e2fsprogs"):
            host.make(ID)
    monkeypatch.setattr(loop_devices, "LOOP_CONTROL", root / "none")
    assert "modprobe loop" in (host.disks.trouble() or "")
    with pytest.raises(CallRefusedError, match="modprobe loop") as refused:
        host.make(OTHER)
    assert refused.value.code == "no-loop-device"
    assert mounts_below(root) == []


def test_a_mount_that_fails_leaves_no_device(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks_module, "OPTIONS", "no-such-option")
    host = Host(root)
    with pytest.raises(OSError, match="Invalid argument"):
        host.make(ID)
    assert devices_are_let_go(root)
    assert mounts_below(root) == []


MAKE_AND_HANG = """
import sys, time
from pathlib import Path
from tests.disks import small_disks
from hakoiri.docker_guard.ownership import PLAIN
from hakoiri.docker_guard import loop_devices
disks = small_disks(Path(sys.argv[1]))
shown = {name: Path(sys.argv[2]) / name for name in ("workspace", "home")}
def hang(*_, **__):
    print("now", flush=True)
    time.sleep(60)
if sys.argv[3] == "attached":
    from hakoiri.docker_guard import disks as module
    module.mount = hang
disks.make("c0000000000000000", shown=shown, owner=PLAIN)
hang()
"""


@pytest.mark.parametrize("moment", ["attached", "mounted"])
def test_a_guard_that_is_killed_leaves_nothing_that_the_next_sweep_does_not_remove(
    root: Path, moment: str
) -> None:
    host = Host(root)
    shown = root / "tree" / ID
    for name in NAMES:
        (shown / name).mkdir(parents=True)
    arguments = [str(host.directory), str(shown), moment]
    with subprocess.Popen(
        [sys.executable, "-c", MAKE_AND_HANG, *arguments],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join([*sys.path])},
    ) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"now\n"
        assert len(loop_devices_of(root)) == (1 if moment == "attached" else 2)
        killed.send_signal(signal.SIGKILL)
    if moment == "attached":  # one that was not mounted yet goes with its process
        assert devices_are_let_go(root)
    else:
        assert len(loop_devices_of(root)) == 2
    assert host.disks.present() == [ID]
    host.remove(ID)
    assert host.disks.present() == []
    assert devices_are_let_go(root)
    assert mounts_below(root) == []


def test_a_full_host_costs_the_writer_its_file_and_nobody_else_anything(small_host: Path) -> None:
    """Sparse disks can together be larger than the host's."""
    host = Host(small_host, disk_rules(workspace_mib=48))
    one, other = host.make(ID), host.make(OTHER)
    kept = os.urandom(4 * MIB)
    (other["workspace"] / "kept").write_bytes(kept)
    os.sync()
    with (one["workspace"] / "large").open("wb") as large:
        large.write(os.urandom(44 * MIB))
        large.flush()
        os.fsync(large.fileno())  # it fits
    with (other["workspace"] / "more").open("wb") as more:
        more.write(os.urandom(20 * MIB))
        more.flush()
        with pytest.raises(OSError) as full:  # noqa: PT011
            os.fsync(more.fileno())
        assert full.value.errno in (errno.ENOSPC, errno.EIO)
    with (other["workspace"] / "kept").open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert file.read() == kept
    host.remove(ID)
    # the next write finds room again: the disk was not given up
    assert devices_are_let_go(host.disks.directory_of(ID))
    deadline_s = time.monotonic() + 60
    while (free_blocks := os.statvfs(small_host).f_bavail) < 30 * MIB // 4096:
        assert time.monotonic() < deadline_s, f"{free_blocks} blocks free"
        # this file system alone: others on the host may have much to write
        subprocess.run(["sync", "-f", small_host], check=True)
    with (other["workspace"] / "again").open("wb") as again:
        again.write(kept)
        again.flush()
        os.fsync(again.fileno())
    host.remove(OTHER)


def test_reserved_disks_are_taken_from_the_host_at_once_or_not_made(small_host: Path) -> None:
    host = Host(small_host, disk_rules(reserve=True))
    free = os.statvfs(small_host).f_bavail
    made = host.make(ID)
    taken = (free - os.statvfs(small_host).f_bavail) * os.statvfs(small_host).f_frsize
    assert taken >= 32 * MIB
    with pytest.raises(CallRefusedError, match="needs 32"):
        host.make(OTHER)
    fill(small_host)
    with (made["workspace"] / "mine").open("wb") as mine:
        mine.write(os.urandom(12 * MIB))
        mine.flush()
        os.fsync(mine.fileno())
    host.remove(ID)


def test_a_file_system_that_cannot_reserve_is_named_by_the_setting(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoFallocate:
        def fallocate(self, *_: object) -> int:
            return -1

    monkeypatch.setattr(disks_module, "_libc", NoFallocate())
    with pytest.raises(OSError) as refused:  # noqa: PT011
        Host(root, disk_rules(reserve=True)).make(ID)
    assert refused.value.filename == "HAKOIRI_GUARD__RESERVE_DISK"


def test_disks_of_nobody_are_present(root: Path) -> None:
    host = Host(root)
    assert host.disks.present() == []
    (host.directory / ID).mkdir()
    assert host.disks.present() == [ID]
    assert isinstance(host.disks, Disks)
