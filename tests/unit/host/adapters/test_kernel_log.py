import fcntl
import os
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from tests.unit.host.containers.test_violations import ID, OTHER, record

from hakoiri.host.adapters.kernel_log import BATCH, KernelLog

pytestmark = pytest.mark.anyio

GROUPS = f"12:pids:/docker/{ID}\n"
GONE = "12:pids:/\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe in packet mode, which gives one record a read, as the kernel's log does."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_DIRECT)
    yield reader, writer
    os.close(reader)


def process(root: Path, pid: int, *, parent: int, groups: str, name: str = "python3") -> None:
    (root / str(pid)).mkdir()
    (root / str(pid) / "stat").write_text(f"{pid} ({name}) Z {parent} 1 1")
    (root / str(pid) / "cgroup").write_text(groups)


async def read(root: Path, pipe: tuple[int, int], *records: bytes) -> list[tuple[int, str | None]]:
    reader, writer = pipe
    for one in records:
        os.write(writer, one)
    os.close(writer)
    log = KernelLog(reader, processes=root)
    async with aclosing(log.violations()) as violations:
        return [(violation.call, container) async for violation, container in violations]


async def test_a_killed_process_is_told_with_its_container(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    process(tmp_path, 4321, parent=1, groups=GROUPS)
    noise = b"6,1,2,-;usb 1-1: new device"
    assert await read(tmp_path, pipe, noise, record(call=1), noise, record(call=2)) == [
        (1, ID),
        (2, ID),
    ]


async def test_an_exiting_process_without_groups_is_its_parents(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    process(tmp_path, 4321, parent=77, groups=GONE, name="a) Z 99 (")
    process(tmp_path, 77, parent=1, groups=GROUPS)
    process(tmp_path, 99, parent=1, groups=f"12:pids:/docker/{OTHER}\n")
    assert await read(tmp_path, pipe, record()) == [(165, ID)]


async def test_whose_process_is_gone_is_unknown(tmp_path: Path, pipe: tuple[int, int]) -> None:
    process(tmp_path, 4322, parent=4323, groups=GONE)
    assert await read(tmp_path, pipe, record(), record(pid=4322)) == [(165, None), (165, None)]


async def test_more_records_than_one_batch_are_all_read(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 1024 * 1024)  # a packet takes a page
    process(tmp_path, 4321, parent=1, groups=GROUPS)
    records = [record(call=number) for number in range(2 * BATCH + 5)]
    found = await read(tmp_path, pipe, *records)
    assert [call for call, _ in found] == list(range(2 * BATCH + 5))
