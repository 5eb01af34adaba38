import random

import pytest

from hakoiri.host.files.pieces import LEAST_BYTES, MOST_BYTES, cut

CONTENT = random.Random(7).randbytes(6 * 1024 * 1024)  # noqa: S311 - the same in each run


def pieces_of(content: bytes, *, is_last: bool = True) -> list[bytes]:
    pieces = []
    for length in cut(content, is_last=is_last):
        pieces.append(content[:length])
        content = content[length:]
    return pieces


def test_pieces_are_the_content_in_order_and_within_bounds() -> None:
    pieces = pieces_of(CONTENT)
    assert b"".join(pieces) == CONTENT
    assert all(LEAST_BYTES <= len(piece) <= MOST_BYTES for piece in pieces[:-1])
    assert cut(b"", is_last=True) == []


@pytest.mark.parametrize("window", [MOST_BYTES, 3 * MOST_BYTES // 2, 4 * MOST_BYTES])
def test_a_window_at_a_time_gives_the_same_cuts(window: int) -> None:
    pieces: list[bytes] = []
    rest = b""
    for start in range(0, len(CONTENT), window):
        rest += CONTENT[start : start + window]
        found = pieces_of(rest, is_last=start + window >= len(CONTENT))
        pieces += found
        rest = rest[sum(map(len, found)) :]
    assert pieces == pieces_of(CONTENT)


@pytest.mark.parametrize("where", [0, 1, len(CONTENT) // 3, len(CONTENT) - 1])
@pytest.mark.parametrize("put_in", [b"", b"x"], ids=["changed", "put in"])
def test_one_byte_leaves_all_but_two_mib_as_it_was(where: int, put_in: bytes) -> None:
    before = set(pieces_of(CONTENT))
    flipped = bytes([CONTENT[where] ^ 1])
    content = CONTENT[:where] + put_in + flipped + CONTENT[where + 1 :]
    fresh = [piece for piece in pieces_of(content) if piece not in before]
    assert 0 < sum(map(len, fresh)) < 2 * 1024 * 1024


@pytest.mark.parametrize("size", [0, 1, LEAST_BYTES, 3 * MOST_BYTES])
def test_what_is_left_for_the_next_call_is_one_piece_at_most(size: int) -> None:
    left = size - sum(cut(CONTENT[:size], is_last=False))
    assert min(size, 1) <= left <= MOST_BYTES
