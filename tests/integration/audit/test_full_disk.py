"""A chain on a disk that is full, and has room again."""

import json
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import pytest
from tests.full_disk import SmallDisk, small_disk
from tests.unit.audit.chains import an_event
from tests.waiting import until

from hakoiri.audit.chain import Position, follow
from hakoiri.audit.segments import read_chain
from hakoiri.audit.writer import ChainWriter

pytestmark = pytest.mark.root

WAIT_S = 30.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as made:
        yield made


def why_not(log: ChainWriter) -> str:
    """Why nothing may begin now; nothing if it may."""
    return log.hindrance or ""


def tell_until_hindered(log: ChainWriter) -> int:
    """Tell until the disk has refused; return how many were told."""
    told = 0
    while not why_not(log):
        log.tell(an_event(told))
        log.wait_written(0.05)
        told += 1
    return told


def test_a_full_disk_hinders_and_nothing_that_was_told_is_lost(disk: SmallDisk) -> None:
    with ChainWriter(disk.place, chain="server", version="1") as log:
        assert log.wait_written(WAIT_S)
        assert why_not(log) == ""
        disk.fill()
        told = tell_until_hindered(log)
        assert "No space left on device" in why_not(log)
        assert not log.wait_written(1.5), "it was tried again, and refused again"
        assert why_not(log)
        disk.free()
        assert log.wait_written(WAIT_S), "it goes on by itself"
        assert why_not(log) == ""
    kinds = [json.loads(line)["metadata"]["event_code"] for line in read_chain(disk.place)]
    assert kinds == ["audit_log_opened", *["turn_started"] * told, "audit_log_closed"]
    assert reduce(follow, read_chain(disk.place), Position()).sequence == told + 2


def test_who_goes_on_is_not_hindered_by_a_full_disk(disk: SmallDisk) -> None:
    with ChainWriter(disk.place, chain="server", version="1", goes_on=True) as log:
        assert log.wait_written(WAIT_S)
        disk.fill()
        for number in range(50):
            log.tell(an_event(number))
        assert until(lambda: log.failure)
        assert why_not(log) == ""
        disk.free()
        assert log.wait_written(WAIT_S)
