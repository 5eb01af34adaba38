import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.wire.id_map import LINES_LIMIT, WHOLE, IdRange, outside_id, parse_id_map

PLAIN = "         0          0 4294967295\n"
TWO = "         0       1000          1\n         1     100000      65536\n"
IDS = st.integers(0, 2**32 - 1)
RANGES = st.lists(st.builds(IdRange, IDS, IDS, IDS), max_size=10)


def test_what_the_kernel_shows_is_read() -> None:
    assert parse_id_map(PLAIN) == WHOLE
    assert parse_id_map(TWO) == (IdRange(0, 1000, 1), IdRange(1, 100_000, 65_536))
    assert parse_id_map("") == ()


@given(RANGES)
def test_any_map_is_read_as_it_was_written(ranges: list[IdRange]) -> None:
    lines = (f"{one.inside:>10} {one.outside:>10} {one.count:>10}\n" for one in ranges)
    assert parse_id_map("".join(lines)) == tuple(ranges)


@given(st.text(max_size=60))
def test_anything_else_is_an_error_and_no_other(text: str) -> None:
    try:
        found = parse_id_map(text)
    except ValueError:
        return
    assert len(found) == len(text.splitlines())


@pytest.mark.parametrize("text", ["0 0\n", "0 0 1 1\n", "0 0 -1\n", "0 0 x\n", "\n", "0 0 1\n\n"])
def test_other_lines_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="three numbers"):
        parse_id_map(text)


def test_more_lines_than_the_kernel_takes_are_refused() -> None:
    with pytest.raises(ValueError, match=str(LINES_LIMIT)):
        parse_id_map("0 0 1\n" * (LINES_LIMIT + 1))


@pytest.mark.parametrize(
    ("inside", "outside"), [(0, 1000), (1, 100_000), (1000, 100_999), (65_536, 165_535)]
)
def test_an_id_outside_is_the_ranges_it_is_in(inside: int, outside: int) -> None:
    assert outside_id(parse_id_map(TWO), inside) == outside


def test_an_id_that_is_in_no_range_is_nobody_outside() -> None:
    assert outside_id(parse_id_map(TWO), 65_537) is None
    assert outside_id((), 0) is None
