import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.wire.sse import SseBlock, SseDecoder, SseError, encode_block

JSON_LIKE = st.text(alphabet=st.characters(exclude_characters="\r\n\x00", codec="utf-8"))


@given(
    st.lists(st.tuples(st.integers(min_value=0), JSON_LIKE), max_size=20),
    st.integers(min_value=1, max_value=64),
)
def test_what_is_encoded_is_decoded_however_the_bytes_are_cut(
    blocks: list[tuple[int, str]], cut: int
) -> None:
    stream = b"".join(encode_block(number=n, event="e", data="x" + d) for n, d in blocks)
    decoder = SseDecoder(line_limit_bytes=1_000_000)

    seen = [
        block
        for start in range(0, len(stream), cut)
        for block in decoder.feed(stream[start : start + cut])
    ]

    assert seen == [SseBlock(str(n), "e", "x" + d) for n, d in blocks]


@given(st.binary(max_size=4096))
def test_any_bytes_are_blocks_or_an_sse_error(stream: bytes) -> None:
    decoder = SseDecoder(line_limit_bytes=256)
    try:
        blocks = decoder.feed(stream)
    except SseError:
        return
    assert all(len(block.data) <= 256 for block in blocks)


@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_a_line_over_the_limit_is_refused_finished_or_not(ending: bytes) -> None:
    decoder = SseDecoder(line_limit_bytes=100)
    with pytest.raises(SseError, match="longer than 100 bytes"):
        decoder.feed(b"data: " + b"x" * 100 + ending)


def test_many_short_lines_cannot_grow_a_block_past_its_limit() -> None:
    decoder = SseDecoder(line_limit_bytes=100, block_limit_bytes=1000)
    with pytest.raises(SseError, match="block"):
        decoder.feed(b"data: 123456789\n" * 100)


def test_comments_and_empty_blocks_are_skipped() -> None:
    decoder = SseDecoder(line_limit_bytes=100)
    assert decoder.feed(b": keep-alive\n\n\n\ndata: a\ndata: b\n\n") == [SseBlock("", "", "a\nb")]


def test_a_line_break_in_data_is_refused_by_the_encoder() -> None:
    with pytest.raises(SseError):
        encode_block(number=1, event="e", data="a\nid: 9")
