from pathlib import Path

import pytest

from hakoiri.cli.doctor.forgotten_disks import ForgottenDisk, read_forgotten_disks

ID = "c" + "0" * 16


class Kernel:
    """What sysfs and proc show, in directories of a test's own."""

    def __init__(self, root: Path) -> None:
        self.sys, self.proc = root / "sys", root / "proc"
        self.proc.mkdir()

    def device(self, name: str, number: str, backing_file: str | None) -> None:
        directory = self.sys / "block" / name
        directory.mkdir(parents=True)
        (directory / "dev").write_text(f"{number}\n")
        if backing_file is not None:
            (directory / "loop").mkdir()
            (directory / "loop/backing_file").write_text(f"{backing_file}\n")

    def process(self, pid: int, namespace: str, *numbers: str) -> None:
        (self.proc / str(pid) / "ns").mkdir(parents=True)
        (self.proc / str(pid) / "ns/mnt").symlink_to(namespace)
        lines = [
            f"{at} 1 {number} / /workspace rw - ext4 x rw" for at, number in enumerate(numbers)
        ]
        (self.proc / str(pid) / "mountinfo").write_text("\n".join(lines))

    def forgotten(self) -> list[ForgottenDisk]:
        return read_forgotten_disks(sys=self.sys, proc=self.proc)


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


@pytest.mark.parametrize("path", [f"/srv/disks/{ID}/home.img", f"{ID}/workspace.img"])
def test_a_removed_disk_is_told_with_one_process_of_each_namespace(
    kernel: Kernel, path: str
) -> None:
    kernel.device("loop0", "7:0", None)
    kernel.device("loop3", "7:3", f"{path} (deleted)")
    kernel.process(1, "mnt:[1]", "8:1")
    kernel.process(20, "mnt:[2]", "8:1", "7:3")
    kernel.process(21, "mnt:[2]", "8:1", "7:3")
    kernel.process(30, "mnt:[3]", "7:3")
    assert kernel.forgotten() == [ForgottenDisk(ID, (20, 30), (20, 30))]


@pytest.mark.parametrize(("parent", "ends"), [("containerd-shim", 19), ("bash", 20)])
def test_the_shim_of_a_containers_process_is_to_be_ended(
    kernel: Kernel, parent: str, ends: int
) -> None:
    kernel.device("loop3", "7:3", f"/srv/disks/{ID}/home.img (deleted)")
    kernel.process(20, "mnt:[2]", "7:3")
    (kernel.proc / "20/status").write_text("Name:\trunc:[2:INIT]\nPPid:\t19\n")
    (kernel.proc / "19").mkdir()
    (kernel.proc / "19/comm").write_text(f"{parent}\n")
    assert [disk.ends for disk in kernel.forgotten()] == [(ends,)]


def test_what_nobody_has_mounted_is_on_its_way_out(kernel: Kernel) -> None:
    kernel.device("loop3", "7:3", f"/srv/disks/{ID}/home.img (deleted)")
    kernel.process(1, "mnt:[1]", "8:1")
    assert kernel.forgotten() == []


@pytest.mark.parametrize(
    "path",
    [
        f"/srv/disks/{ID}/home.img",
        f"/srv/disks/{ID}/other.img (deleted)",
        f"/srv/disks/x{ID}/home.img (deleted)",
        f"/srv/disks/{ID}/home.img (deleted)/x",
        "/home/somebody/disk.img (deleted)",
        "",
    ],
)
def test_a_disk_that_is_there_or_somebody_elses_is_not_ours_to_tell(
    kernel: Kernel, path: str
) -> None:
    kernel.device("loop3", "7:3", path)
    kernel.process(1, "mnt:[1]", "7:3")
    assert kernel.forgotten() == []


def test_a_process_that_tells_nothing_holds_nothing(kernel: Kernel) -> None:
    kernel.device("loop3", "7:3", f"/srv/disks/{ID}/home.img (deleted)")
    (kernel.proc / "5").mkdir()
    assert kernel.forgotten() == []
