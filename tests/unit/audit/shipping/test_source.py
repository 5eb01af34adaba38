from pathlib import Path

import pytest
from tests.unit.audit.chains import lines, write

from hakoiri.audit.shipping import source
from hakoiri.audit.shipping.source import (
    Place,
    SourceError,
    missed_lines,
    next_batch,
    next_sealed,
    waiting_bytes,
)

MADE = lines(12)


def take_all(directory: Path, place: Place | None = None) -> tuple[list[bytes], Place | None]:
    taken: list[bytes] = []
    while batch := next_batch(directory, place):
        taken += batch.data.splitlines(keepends=True)
        place = batch.after
    return taken, place


@pytest.mark.parametrize("batch_bytes", [600, 2000, 1 << 20])
def test_all_lines_come_once_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_bytes: int
) -> None:
    monkeypatch.setattr(source, "BATCH_BYTES", max(batch_bytes, 2 * len(MADE[0])))
    write(tmp_path, MADE[:5])
    write(tmp_path, [], first=6)
    taken, place = take_all(tmp_path)
    assert taken == MADE[:5]
    assert place is not None
    assert place.sequence == 5
    write(tmp_path, [*MADE[5:8], MADE[8][:30]], first=6)
    more, place = take_all(tmp_path, place)
    assert more == MADE[5:8], "what is torn at the end waits until it is whole"
    assert place is not None
    assert place.sequence == 8


def test_only_files_to_which_nothing_is_added_are_sealed(tmp_path: Path) -> None:
    write(tmp_path, MADE[:5])
    assert next_sealed(tmp_path, None) is None
    write(tmp_path, MADE[5:6], first=6)
    found = next_sealed(tmp_path, None)
    assert found is not None
    segment, place = found
    assert (segment.first, place.sequence) == (1, 5)
    assert next_sealed(tmp_path, place) is None
    write(tmp_path, [], first=7)
    following = next_sealed(tmp_path, place)
    assert following is not None
    assert (following[0].first, following[1].sequence) == (6, 6)
    assert next_sealed(tmp_path, following[1]) is None


def test_what_was_copied_may_be_taken_away_but_not_cut(tmp_path: Path) -> None:
    path = write(tmp_path, MADE[:5])
    _, place = take_all(tmp_path)
    assert place is not None
    path.write_bytes(MADE[0])
    with pytest.raises(SourceError, match="was cut after"):
        next_batch(tmp_path, place)
    path.unlink()
    write(tmp_path, MADE[5:7], first=6)
    batch = next_batch(tmp_path, place)
    assert batch is not None
    assert batch.data == b"".join(MADE[5:7])
    assert missed_lines(batch.segment, place) == 0


def test_what_was_taken_away_too_early_is_counted(tmp_path: Path) -> None:
    write(tmp_path, MADE[8:9], first=9)
    batch = next_batch(tmp_path, Place(first=1, offset=10, sequence=5))
    assert batch is not None
    assert missed_lines(batch.segment, Place(first=1, offset=10, sequence=5)) == 3
    assert missed_lines(batch.segment, None) == 0


def test_a_file_that_is_gone_between_others_is_no_clearing_up(tmp_path: Path) -> None:
    write(tmp_path, MADE[:2])
    write(tmp_path, MADE[4:5], first=5)
    with pytest.raises(SourceError, match="is gone"):
        next_batch(tmp_path, Place(first=3, offset=10, sequence=3))


def test_what_waits_is_counted(tmp_path: Path) -> None:
    write(tmp_path, MADE[:2])
    write(tmp_path, MADE[2:4], first=3)
    size = len(MADE[0])
    whole = sum(map(len, MADE[:4]))
    assert waiting_bytes(tmp_path, None, sealed_only=False) == whole
    assert waiting_bytes(tmp_path, None, sealed_only=True) == sum(map(len, MADE[:2]))
    place = Place(first=1, offset=size, sequence=1)
    assert waiting_bytes(tmp_path, place, sealed_only=False) == whole - size
