from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.budgets.usage import Usage
from hakoiri.credential_proxy.budgets.whole_usage import DOCUMENT_LIMIT_BYTES, WholeUsage

DOCUMENT = b'{"model": "m", "usage": {"input_tokens": 3, "output_tokens": 4}, "content": []}'


@given(st.integers(0, len(DOCUMENT)))
def test_a_document_is_read_once_it_is_whole(cut: int) -> None:
    reader = WholeUsage()
    reader.feed(DOCUMENT[:cut])
    assert not reader.is_final
    reader.feed(DOCUMENT[cut:])
    assert not reader.is_final
    reader.finish()
    assert (reader.usage, reader.is_final, reader.model) == (Usage(3, 4), True, "m")


def test_what_the_headers_said_holds_without_the_document() -> None:
    reader = WholeUsage(Usage(1, 2))
    assert reader.is_final
    reader.feed(b"half of a docu")
    reader.finish()
    assert reader.usage == Usage(1, 2)


def test_a_document_that_is_too_long_is_not_kept() -> None:
    reader = WholeUsage()
    for _ in range(9):
        reader.feed(b"x" * (DOCUMENT_LIMIT_BYTES // 8))
    assert not reader._pieces
    reader.finish()
    assert not reader.is_final


def test_a_document_without_usage_tells_nothing() -> None:
    for text in (b"", b"[]", b'{"usage": 5}', b"\xff", b'{"usage": {}}'):
        reader = WholeUsage()
        reader.feed(text)
        reader.finish()
        assert (reader.usage, reader.is_final) == (Usage(), False)
