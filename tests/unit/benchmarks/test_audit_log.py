from itertools import islice
from pathlib import Path

import pytest
from benchmarks import audit_log
from benchmarks.audit_log import (
    APPEND,
    APPEND_LIMIT_MS,
    DISK,
    LINES,
    VERIFY_LIMIT_S,
    WRITTEN,
    lines_of,
    make_chain,
    numbered,
)
from benchmarks.report import Report
from tests.unit.audit.chains import lines

from hakoiri.audit.segments import segments
from hakoiri.audit.verification import verify_chain


def test_the_long_chain_is_a_sound_one_of_several_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "LINES_OF_A_FILE", 4)
    make_chain(tmp_path, 10)
    found = verify_chain(tmp_path, chain="proxy", heads={})
    assert (found.broken, found.lines) == (None, 10)
    assert len(segments(tmp_path)) == 3
    last = segments(tmp_path)[-1].path
    last.write_bytes(last.read_bytes().replace(b'"code":200', b'"code":201', 1))
    assert "line 9 was changed" in (verify_chain(tmp_path, chain="proxy", heads={}).broken or "")


def test_its_first_line_is_the_writers_own() -> None:
    (first,) = lines(1)
    assert next(numbered(first)) == first


def test_a_line_that_is_not_the_first_of_a_chain_makes_none() -> None:
    with pytest.raises(ValueError, match="not the first"):
        list(islice(numbered(lines(2)[1]), 1))
    with pytest.raises(ValueError, match="no number"):
        list(islice(numbered(b"{}\n"), 1))


def report_of(append_ms: float, written_ms: float, *, disk_ms: float = 1.0) -> Report:
    samples = {APPEND: append_ms, WRITTEN: written_ms, DISK: disk_ms}
    # one in fifty is slow
    return Report("r", samples_ms={n: [0.1] * 98 + [slow] * 2 for n, slow in samples.items()})


def test_the_slowest_in_a_hundred_are_judged() -> None:
    def met(append_ms: float, written_ms: float, wall_s: float) -> list[bool | None]:
        report = report_of(append_ms, written_ms)
        return [one.is_met for one in lines_of(report, wall_s=wall_s, processor_s=1, lines=LINES)]

    fine, slow = APPEND_LIMIT_MS / 2, APPEND_LIMIT_MS * 2
    assert met(fine, fine, VERIFY_LIMIT_S / 2) == [True, True, True]
    assert met(slow, fine, VERIFY_LIMIT_S * 2) == [False, True, False]
    assert met(fine, slow, 1) == [True, False, True]


def test_a_disk_that_is_too_slow_by_itself_is_no_miss_and_no_pass() -> None:
    slow = APPEND_LIMIT_MS * 2
    report = report_of(1, slow, disk_ms=slow)
    written = lines_of(report, wall_s=1, processor_s=1, lines=LINES)[1]
    assert (written.is_met, written.best_peer) == (None, "the disk alone 4.0 ms")


def test_a_shorter_chain_is_not_held_against_the_bar() -> None:
    last = lines_of(report_of(1, 1), wall_s=1, processor_s=1, lines=1000)[-1]
    assert (last.bar, last.is_met) == ("", None)
