"""A disk that a process of its own namespace still has mounted when its box is gone."""

import subprocess
from pathlib import Path

import pytest
from tests.disks import devices_are_let_go, small_disks
from tests.engine import mounts_below

from hakoiri.cli.doctor.forgotten_disks import read_forgotten_disks
from hakoiri.docker_guard.kernel_mounts import detach_below
from hakoiri.docker_guard.ownership import PLAIN

pytestmark = pytest.mark.root

ID = "c" + "f" * 16
HOLD = ("unshare", "--mount", "--propagation", "private", "sh", "-c", "echo there; exec cat")
"""A namespace with copies of all mounts, that ends with its standard input."""


def test_who_holds_the_disk_of_a_box_that_is_gone_is_found_until_it_ends(root: Path) -> None:
    disks = small_disks(root / "disks")
    shown = {name: root / "tree" / ID / name for name in ("workspace", "home")}
    for path in shown.values():
        path.mkdir(parents=True)
    disks.make(ID, shown=shown, owner=PLAIN)
    with subprocess.Popen(HOLD, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"there\n"
        disks.unmount(ID)
        detach_below(root)
        subprocess.run(["rm", "-rf", str(disks.directory_of(ID))], check=True)
        assert mounts_below(root) == []
        found = [disk for disk in read_forgotten_disks() if disk.container_id == ID]
        assert [disk.holders for disk in found] == [(holder.pid,)] * 2
    assert devices_are_let_go(root)
    assert [disk for disk in read_forgotten_disks() if disk.container_id == ID] == []
