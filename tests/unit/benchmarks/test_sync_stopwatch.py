import asyncio
import os

import pytest
from benchmarks.report import Report
from benchmarks.sync_stopwatch import Stopwatch, used_by_s

from hakoiri.host.files.ports import FilesError

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def works() -> None:
    pass


async def fails() -> None:
    raise FilesError("the store\nis away")


async def hangs() -> None:
    await asyncio.Event().wait()


async def test_what_was_done_is_timed_with_what_it_used() -> None:
    report = Report("sync")
    assert await Stopwatch(report).time("small", "upload", "ours", works)
    assert list(report.samples_ms) == [
        "small: upload: ours",
        "processor time, small: upload: ours",
    ]


async def test_what_the_server_used_meanwhile_is_told_and_goes_with_who_is_left_out() -> None:
    report = Report("sync")
    used = iter([1.0, 3.5, 4.0])
    stopwatch = Stopwatch(report, server_s=lambda: next(used))
    assert await stopwatch.time("large", "upload", "ours", works)
    assert report.samples_ms["server's processor time, large: upload: ours"] == [2500.0]
    assert not await stopwatch.time("large", "download", "ours", fails)
    assert report.samples_ms == {}


def test_a_process_has_used_some_of_the_processors() -> None:
    assert 0 < used_by_s(os.getpid()) < 100_000


async def test_who_fails_is_out_of_that_part_and_told_and_the_others_go_on() -> None:
    report = Report("sync")
    stopwatch = Stopwatch(report)
    for who in ("peer", "peer too"):
        assert await stopwatch.time("small", "upload", who, works)
        assert await stopwatch.time("large", "upload", who, works)
    assert not await stopwatch.time("small", "download", "peer", fails)
    assert not await stopwatch.time("small", "upload", "peer", works)
    assert await stopwatch.time("large", "download", "peer", works)
    assert {name for name in report.samples_ms if "processor" not in name} == {
        "small: upload: peer too",
        "large: upload: peer too",
        "large: upload: peer",
        "large: download: peer",
    }
    assert len(report.samples_ms) == 8
    assert report.notes == {
        "left out, peer, small": "download: FilesError the store is away",
    }


async def test_who_takes_too_long_is_out() -> None:
    report = Report("sync")
    assert not await Stopwatch(report, limit_s=0).time("small", "upload", "peer", hangs)
    assert report.samples_ms == {}
    assert report.notes["left out, peer, small"].startswith("upload: TimeoutError")
