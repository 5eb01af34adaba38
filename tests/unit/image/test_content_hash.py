from hypothesis import assume, given
from hypothesis import strategies as st

from hakoiri.image.content_hash import content_hash

parts = st.dictionaries(st.text(), st.binary(), max_size=5)


def test_the_hash_is_sixteen_hex_digits_and_never_changes() -> None:
    assert content_hash({"a": b"1", "b": b"2"}) == "63662dceceaac3ca"


@given(parts)
def test_the_order_of_the_parts_does_not_matter(given_parts: dict[str, bytes]) -> None:
    turned = dict(reversed(given_parts.items()))
    assert content_hash(given_parts) == content_hash(turned)


@given(parts, parts)
def test_different_parts_have_different_hashes(
    one: dict[str, bytes], two: dict[str, bytes]
) -> None:
    assume(one != two)
    assert content_hash(one) != content_hash(two)


def test_bytes_cannot_move_between_names_and_contents() -> None:
    shapes = [{"ab": b"c"}, {"a": b"bc"}, {"a": b"b", "c": b""}, {"a": b"", "b": b"c"}]
    assert len({content_hash(shape) for shape in shapes}) == len(shapes)
