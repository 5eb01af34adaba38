from pathlib import Path

from hakoiri.host.adapters.host_resources import FILE_LIMIT_BYTES, HostResources
from hakoiri.host.containers.host_reading import HostReading


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_the_files_of_a_host_are_read(tmp_path: Path) -> None:
    write(tmp_path, "proc/meminfo", "MemTotal: 4 kB\nMemAvailable: 2 kB\n")
    write(tmp_path, "proc/pressure/memory", "some avg10=7.50 avg60=0.00 avg300=0.00 total=1\n")
    write(tmp_path, "proc/sys/kernel/pid_max", "99\n")
    assert HostResources(root=tmp_path).read() == HostReading(4096, 2048, 7.5, 99)


def test_what_cannot_be_read_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "proc/meminfo").mkdir(parents=True)
    assert HostResources(root=tmp_path).read() == HostReading()


def test_no_file_is_read_without_end(tmp_path: Path) -> None:
    write(tmp_path, "proc/meminfo", "x" * FILE_LIMIT_BYTES + "\nMemTotal: 4 kB\n")
    assert HostResources(root=tmp_path).read().memory_bytes is None


def test_this_host_tells_of_its_memory() -> None:
    told = HostResources().read()
    assert told.memory_bytes is not None
    assert told.available_bytes is not None
    assert 0 < told.available_bytes <= told.memory_bytes
