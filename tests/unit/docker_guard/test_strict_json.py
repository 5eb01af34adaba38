import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.docker_guard.refusal import CallRefusedError
from hakoiri.docker_guard.strict_json import parse

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


@given(DOCUMENTS)
def test_what_is_unambiguous_is_read_as_it_is(document: object) -> None:
    assert parse(json.dumps(document).encode()) == document


@given(st.binary(max_size=64))
def test_any_bytes_are_a_document_or_refused(body: bytes) -> None:
    with suppress(CallRefusedError):
        parse(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"Privileged": false, "Privileged": true}',
        b'{"HostConfig": {"Binds": [], "B\\u0069nds": ["/:/host"]}}',
        b'[{"a": 1, "a": 1}]',
    ],
)
def test_a_key_that_is_there_twice_is_refused_at_any_depth(body: bytes) -> None:
    with pytest.raises(CallRefusedError, match="twice"):
        parse(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{} {}",
        b"NaN",
        b"[Infinity]",
        b"\xff",
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b"9" * 5000,
    ],
    ids=["empty", "cut", "two", "nan", "infinity", "latin", "surrogate", "mark", "deep", "digits"],
)
def test_what_is_not_one_json_document_is_refused(body: bytes) -> None:
    with pytest.raises(CallRefusedError) as refused:
        parse(body)
    assert refused.value.status == 400
    assert len(refused.value.detail) < 500
