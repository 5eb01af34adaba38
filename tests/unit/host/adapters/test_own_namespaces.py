from pathlib import Path

from hakoiri.host.adapters.own_namespaces import read_own_namespaces


def test_they_are_what_the_kernel_tells_of_this_process() -> None:
    own = read_own_namespaces()
    assert {"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"} <= set(own)
    for kind, number in own.items():
        assert number == Path("/proc/self/ns", kind).stat().st_ino


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "ipc").symlink_to("ipc:[7]")
    (tmp_path / "uts").symlink_to("elsewhere")
    (tmp_path / "pid").touch()
    assert read_own_namespaces(tmp_path) == {"ipc": 7}
