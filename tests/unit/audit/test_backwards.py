from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.audit.chains import lines, write

from hakoiri.audit import backwards
from hakoiri.audit.backwards import lines_backwards
from hakoiri.audit.chain import LINE_LIMIT_BYTES, ChainError, sequence_of

MADE = lines(60)


def lay_out(directory: Path) -> None:
    write(directory, MADE[:25])
    write(directory, MADE[25:26], first=26)
    write(directory, MADE[26:], first=27)


@pytest.mark.parametrize("block", [1, 100, 1000, 1 << 20])
def test_lines_come_from_the_last_to_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(backwards, "BLOCK_BYTES", block)
    lay_out(tmp_path)
    assert list(lines_backwards(tmp_path)) == MADE[::-1]


def test_it_begins_below_any_line(tmp_path: Path) -> None:
    lay_out(tmp_path)
    for below in range(1, 63):
        found = [sequence_of(line) for line in lines_backwards(tmp_path, below=below)]
        assert found == list(range(min(below, 61) - 1, 0, -1))


@given(torn=st.binary(max_size=50).filter(lambda data: b"\n" not in data), below=st.integers(1, 5))
def test_what_is_torn_at_the_end_is_left_out(
    tmp_path_factory: pytest.TempPathFactory, torn: bytes, below: int
) -> None:
    directory = tmp_path_factory.mktemp("torn")
    write(directory, [*MADE[:4], torn])
    assert list(lines_backwards(directory)) == MADE[3::-1]
    assert list(lines_backwards(directory, below=below)) == MADE[: below - 1][::-1]


def test_an_empty_file_is_no_fault(tmp_path: Path) -> None:
    write(tmp_path, MADE[:3])
    write(tmp_path, [], first=4)
    assert list(lines_backwards(tmp_path)) == MADE[2::-1]


def test_a_line_without_an_end_is_not_read_for_ever(tmp_path: Path) -> None:
    write(tmp_path, [b"x" * (20 * LINE_LIMIT_BYTES) + b"\n"])
    with pytest.raises(ChainError, match="more than"):
        list(lines_backwards(tmp_path))
