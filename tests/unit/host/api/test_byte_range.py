from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.api.byte_range import ByteRange, UnsatisfiableRangeError, cut, parse_range


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=2-4", 2, 5),
        ("bytes=7-", 7, 10),
        ("bytes=-3", 7, 10),
        ("bytes=-99", 0, 10),
        ("bytes=5-99", 5, 10),
    ],
)
def test_one_range_is_understood(header: str, start: int, end: int) -> None:
    assert parse_range(header, 10) == ByteRange(start, end, 10)


@pytest.mark.parametrize(
    "header", [None, "", "bytes=", "bytes=-", "bytes=0-1,3-4", "lines=1-2", "bytes=4-2", "bytes=٣-"]
)
def test_anything_else_is_answered_with_the_whole(header: str | None) -> None:
    assert parse_range(header, 10) is None


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0)])
def test_what_lies_outside_is_told(header: str, size: int) -> None:
    with pytest.raises(UnsatisfiableRangeError):
        parse_range(header, size)


@pytest.mark.anyio
@given(
    pieces=st.lists(st.binary(min_size=1, max_size=5), min_size=1, max_size=6),
    first=st.integers(0, 29),
    last=st.integers(0, 29),
)
async def test_what_is_cut_is_what_was_asked_for(
    pieces: list[bytes], first: int, last: int
) -> None:
    whole = b"".join(pieces)
    start = first % len(whole)
    end = start + 1 + last % (len(whole) - start)

    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    got = b"".join([piece async for piece in cut(chunks(), ByteRange(start, end, len(whole)))])
    assert got == whole[start:end]
