import json
import os
import threading
import time
from collections.abc import Callable
from functools import reduce
from pathlib import Path

import pytest
from tests.unit.audit.chains import AT, an_event, lines, write
from tests.waiting import until

from hakoiri.audit.chain import ChainError, Position, follow
from hakoiri.audit.event import AuditEvent, EventKind
from hakoiri.audit.segments import AuditFilesError, read_chain, segments
from hakoiri.audit.standing import BEHIND_LIMIT_S
from hakoiri.audit.writer import ChainWriter, NoAuditLog

WAIT_S = 60.0


def writer(
    directory: Path,
    *,
    segment_bytes: int = 1 << 20,
    waiting_limit: int = 1000,
    sync: Callable[[int], None] = os.fdatasync,
    clock: Callable[[], float] = time.monotonic,
    goes_on: bool = False,
) -> ChainWriter:
    return ChainWriter(
        directory,
        chain="server",
        version="1",
        now=lambda: AT,
        segment_bytes=segment_bytes,
        waiting_limit=waiting_limit,
        sync=sync,
        lock_timeout_s=0.0,
        clock=clock,
        goes_on=goes_on,
    )


def kinds(directory: Path) -> list[str]:
    return [json.loads(line)["metadata"]["event_code"] for line in read_chain(directory)]


def check(directory: Path) -> Position:
    return reduce(follow, read_chain(directory), Position())


class Disk:
    """Syncs only while it is well, and counts."""

    def __init__(self) -> None:
        self.is_well = True
        self.synced = threading.Event()
        self.refused = threading.Event()

    def __call__(self, descriptor: int) -> None:
        if not self.is_well:
            self.refused.set()
            raise OSError(28, "No space left on device")
        os.fdatasync(descriptor)
        self.synced.set()


def test_a_chain_has_a_beginning_and_an_end_and_goes_on_next_time(tmp_path: Path) -> None:
    for _ in range(2):
        with writer(tmp_path) as log:
            log.tell(an_event(1))
    assert kinds(tmp_path) == ["audit_log_opened", "turn_started", "audit_log_closed"] * 2
    assert check(tmp_path).sequence == 6
    assert len(segments(tmp_path)) == 1


def test_what_was_waited_for_is_on_the_disk(tmp_path: Path) -> None:
    disk = Disk()
    with writer(tmp_path, sync=disk) as log:
        log.tell(an_event(1))
        assert log.wait_written(WAIT_S)
        assert disk.synced.is_set()
        assert kinds(tmp_path) == ["audit_log_opened", "turn_started"]


def test_a_full_file_is_followed_by_another(tmp_path: Path) -> None:
    with writer(tmp_path, segment_bytes=2000) as log:
        for number in range(20):
            log.tell(an_event(number))
            assert log.wait_written(WAIT_S)
    assert len(segments(tmp_path)) > 3
    assert check(tmp_path).sequence == 22


def test_many_threads_make_one_chain(tmp_path: Path) -> None:
    with writer(tmp_path) as log:

        def tell_many() -> None:
            for number in range(50):
                log.tell(an_event(number))

        threads = [threading.Thread(target=tell_many) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert check(tmp_path).sequence == 402


def test_only_one_writes_a_chain(tmp_path: Path) -> None:
    with (
        writer(tmp_path),
        pytest.raises(AuditFilesError, match="another process"),
        writer(tmp_path),
    ):
        pass
    with writer(tmp_path):
        pass


def test_a_torn_end_is_cut_off_and_the_chain_says_so(tmp_path: Path) -> None:
    made = lines(3)
    write(tmp_path, [*made[:2], made[2][:20]])
    with writer(tmp_path):
        pass
    assert kinds(tmp_path)[2:] == ["audit_log_repaired", "audit_log_opened", "audit_log_closed"]
    assert check(tmp_path).sequence == 5


def test_a_file_that_was_only_begun_is_gone_on_with(tmp_path: Path) -> None:
    write(tmp_path, lines(2))
    write(tmp_path, [], first=3)
    with writer(tmp_path) as log:
        log.tell(an_event(1))
    assert check(tmp_path).sequence == 5
    assert len(segments(tmp_path)) == 2


def test_what_is_no_chain_is_not_written_on(tmp_path: Path) -> None:
    path = write(tmp_path, [b"something else\n"])
    with pytest.raises(ChainError, match="not in the form"), writer(tmp_path):
        pass
    assert path.read_bytes() == b"something else\n"


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(AuditFilesError, match="cannot write"), writer(tmp_path / "none"):
        pass


def test_a_disk_that_refuses_loses_nothing_within_the_bound(tmp_path: Path) -> None:
    disk = Disk()
    disk.is_well = False
    with writer(tmp_path, sync=disk) as log:
        log.tell(an_event(1))
        assert disk.refused.wait(WAIT_S)
        disk.is_well = True
        assert log.wait_written(WAIT_S)
        assert log.failure is None
    assert kinds(tmp_path) == ["audit_log_opened", "turn_started", "audit_log_closed"]


def test_the_reason_is_told_while_it_lasts(tmp_path: Path) -> None:
    disk = Disk()
    with writer(tmp_path, sync=disk) as log:
        assert log.wait_written(WAIT_S)
        disk.is_well = False
        log.tell(an_event(1))
        assert disk.refused.wait(WAIT_S)
        assert not log.wait_written(0.0)
        while log.failure is None:
            disk.refused.clear()
            assert disk.refused.wait(WAIT_S)
        assert "No space left on device" in log.failure
        disk.is_well = True


def test_beyond_the_bound_events_are_lost_and_the_chain_tells_how_many(tmp_path: Path) -> None:
    disk = Disk()
    with writer(tmp_path, sync=disk, waiting_limit=5) as log:
        assert log.wait_written(WAIT_S)
        disk.is_well = False
        for number in range(12):
            log.tell(an_event(number))
        disk.is_well = True
        assert log.wait_written(WAIT_S)
        log.tell(AuditEvent(kind=EventKind.TURN_ENDED))
        assert log.wait_written(WAIT_S)
    assert kinds(tmp_path) == [
        "audit_log_opened",
        *["turn_started"] * 5,
        "audit_lines_lost",
        "turn_ended",
        "audit_log_closed",
    ]
    lost = list(read_chain(tmp_path))[6]
    assert b'"lines":7' in lost
    check(tmp_path)


def test_without_a_log_nothing_happens() -> None:
    log = NoAuditLog()
    log.tell(an_event(1))
    assert (log.failure, log.hindrance) == (None, None)


def why_not(log: ChainWriter) -> str:
    """Why nothing may begin now; nothing if it may."""
    return log.hindrance or ""


class HungDisk:
    """Does not come back from a sync until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.is_in_it = threading.Event()

    def __call__(self, descriptor: int) -> None:
        self.is_in_it.set()
        assert self.let_go.wait(WAIT_S)
        os.fdatasync(descriptor)


def test_a_disk_that_hangs_hinders_though_it_says_nothing(tmp_path: Path) -> None:
    disk, now_s = HungDisk(), [100.0]
    with writer(tmp_path, sync=disk, clock=lambda: now_s[0]) as log:
        assert disk.is_in_it.wait(WAIT_S)
        now_s[0] += BEHIND_LIMIT_S
        assert why_not(log) == ""
        now_s[0] += 1
        assert "was not written for 11 s" in why_not(log)
        disk.let_go.set()
        assert log.wait_written(WAIT_S)
        assert why_not(log) == ""


def test_a_writer_whose_thread_is_gone_is_known_by_what_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s, ended = [100.0], threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: ended.set())

    def fail(_: int) -> None:
        raise RuntimeError("a fault of ours")

    with writer(tmp_path, sync=fail, clock=lambda: now_s[0]) as log:
        assert ended.wait(WAIT_S)
        now_s[0] += 2 * BEHIND_LIMIT_S
        assert why_not(log)


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_disk_that_refuses_hinders_unless_one_goes_on(tmp_path: Path, *, goes_on: bool) -> None:
    disk = Disk()
    with writer(tmp_path, sync=disk, goes_on=goes_on) as log:
        assert log.wait_written(WAIT_S)
        assert why_not(log) == ""
        disk.is_well = False
        log.tell(an_event(1))
        assert until(lambda: log.failure is not None)
        assert (why_not(log) == "") is goes_on
        disk.is_well = True
        assert log.wait_written(WAIT_S)
        assert (log.failure, log.hindrance) == (None, None)


def test_a_quiet_chain_is_ended_too_and_goes_on_in_the_next_file(tmp_path: Path) -> None:
    with ChainWriter(
        tmp_path, chain="server", version="1", now=lambda: AT, segment_age_s=0.0
    ) as log:
        assert log.wait_written(WAIT_S)
        until(lambda: len(segments(tmp_path)) > 1)
        assert len(segments(tmp_path)) == 2
    with writer(tmp_path) as log:
        log.tell(an_event(1))
    assert check(tmp_path).sequence == 5
