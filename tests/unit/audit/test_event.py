from hypothesis import given
from hypothesis import strategies as st

from hakoiri.audit.event import LIST_LIMIT, TEXT_LIMIT_CHARS, clip


@given(st.text(max_size=3 * TEXT_LIMIT_CHARS))
def test_a_text_is_cut_to_the_bound_and_no_shorter(text: str) -> None:
    clipped = clip(text)
    assert isinstance(clipped, str)
    assert len(clipped) == min(len(text), TEXT_LIMIT_CHARS)
    assert text.startswith(clipped.removesuffix("…"))


def test_a_list_is_cut_and_so_are_its_members() -> None:
    clipped = clip(["x" * 2 * TEXT_LIMIT_CHARS] * 2 * LIST_LIMIT)
    assert isinstance(clipped, list)
    assert len(clipped) == LIST_LIMIT
    assert {len(one) for one in clipped} == {TEXT_LIMIT_CHARS}


def test_numbers_and_nothing_stay() -> None:
    assert [clip(value) for value in (1, 1.5, True, None)] == [1, 1.5, True, None]
