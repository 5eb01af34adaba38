import os
from pathlib import Path

from hakoiri.audit.segment_files import SegmentFiles
from hakoiri.audit.segments import segments


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def files_in(directory: Path, clock: Clock) -> SegmentFiles:
    return SegmentFiles(
        directory,
        segment_bytes=1 << 20,
        sync=os.fdatasync,
        lock_timeout_s=0,
        segment_age_s=100,
        clock=clock,
    )


def test_a_file_is_ended_when_it_is_old_though_it_is_not_full(tmp_path: Path) -> None:
    clock = Clock()
    files = files_in(tmp_path, clock)
    files.open()
    assert files.seconds_to_seal() is None, "there is nothing to end yet"
    files.append(b"a\n", first=1)
    clock.now_s = 40
    assert files.seconds_to_seal() == 60
    files.append(b"b\n", first=2)
    clock.now_s = 100
    assert files.seconds_to_seal() == 0
    files.append(b"c\n", first=3)
    assert [one.first for one in segments(tmp_path)] == [1, 3]
    assert files.seconds_to_seal() == 100
    files.close()


def test_an_old_file_can_be_ended_before_anything_more_is_told(tmp_path: Path) -> None:
    clock = Clock()
    files = files_in(tmp_path, clock)
    files.open()
    files.append(b"a\n", first=1)
    files.seal(2)
    assert files.seconds_to_seal() is None, "an empty file is not ended"
    files.append(b"b\n", first=2)
    assert [one.path.read_bytes() for one in segments(tmp_path)] == [b"a\n", b"b\n"]
    files.close()
