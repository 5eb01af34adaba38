from pathlib import Path

import pytest
from tests.unit.audit.chains import lines, write

from hakoiri.audit.chain import LINE_LIMIT_BYTES, ChainError, Position, hash_of
from hakoiri.audit.segments import AuditFilesError, ChainReader, find_end, read_chain, segments


def test_files_are_read_in_the_order_of_their_lines(tmp_path: Path) -> None:
    made = lines(12)
    write(tmp_path, made[9:], first=10)
    write(tmp_path, made[:9])
    (tmp_path / "lock").touch()
    assert [one.first for one in segments(tmp_path)] == [1, 10]
    assert list(read_chain(tmp_path)) == made
    assert list(read_chain(tmp_path, after=9)) == made[9:]
    assert list(read_chain(tmp_path, after=4)) == made


def test_what_is_torn_at_the_end_is_no_line_yet(tmp_path: Path) -> None:
    made = lines(3)
    write(tmp_path, [*made[:2], made[2][:-10]])
    assert list(read_chain(tmp_path)) == made[:2]
    end = find_end(tmp_path)
    assert end is not None
    assert end.position == Position(2, hash_of(made[1]))
    assert (end.whole_bytes, end.torn_bytes) == (len(made[0] + made[1]), len(made[2]) - 10)


def test_a_file_that_was_only_begun_is_the_last_one(tmp_path: Path) -> None:
    made = lines(2)
    write(tmp_path, made)
    begun = write(tmp_path, [b'{"meta'], first=3)
    end = find_end(tmp_path)
    assert end is not None
    assert (end.segment.path, end.whole_bytes, end.torn_bytes) == (begun, 0, 6)
    assert end.position == Position(2, hash_of(made[1]))


def test_a_chain_that_has_not_begun_has_no_end(tmp_path: Path) -> None:
    assert find_end(tmp_path) is None


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(lines(1)[0])
    (tmp_path / f"{1:015d}.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AuditFilesError, match="cannot read"):
        list(read_chain(tmp_path))


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [b"x" * (4 * LINE_LIMIT_BYTES)])
    with pytest.raises(ChainError, match="more than"):
        list(read_chain(tmp_path))
    with pytest.raises(ChainError, match="ends in a line of over"):
        find_end(tmp_path)


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(AuditFilesError, match="cannot list"):
        segments(tmp_path / "none")


def test_a_reader_follows_a_chain_as_it_grows_over_files(tmp_path: Path) -> None:
    made = lines(9)
    reader = ChainReader(tmp_path)
    assert reader.advance() == 0
    first = write(tmp_path, made[:2])
    assert reader.advance() == 2
    first.write_bytes(b"".join(made[:3]) + made[3][:9])
    assert reader.advance() == 1
    first.write_bytes(b"".join(made[:4]))
    write(tmp_path, made[4:], first=5)
    assert reader.advance() == 6
    assert reader.position == Position(9, hash_of(made[8]))
    assert reader.advance() == 0


def test_a_reader_finds_a_file_that_was_cut_or_taken_away(tmp_path: Path) -> None:
    made = lines(4)
    path = write(tmp_path, made)
    reader = ChainReader(tmp_path)
    reader.advance()
    path.write_bytes(made[0])
    with pytest.raises(ChainError, match="was cut"):
        reader.advance()
    path.unlink()
    write(tmp_path, made[:1])
    path.rename(tmp_path / f"{0:015d}.jsonl")
    with pytest.raises(ChainError, match="is gone"):
        reader.advance()
