import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.message_body import MessageBody, MessageBodyError


def test_the_model_is_read_wherever_it_stands() -> None:
    assert (
        MessageBody.parse(b'{"messages": [{"model": "inner"}], "model": "outer"}').model()
        == "outer"
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b'[["model", "a"]]',
        b"{}",
        b'{"model": 1}',
        b'{"model": "a", "model": "b"}',
        b'{"model": "a", "MODEL": "b"}',
        b'{"model": "a", "\\u006dodel": "b"}',
        b'{"Model": "a"}',
        '{"model": "a"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"model": "a"}',
        b'{"model": "a"} {"model": "b"}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_two_parsers_may_read_differently_is_refused(body: bytes) -> None:
    with pytest.raises(MessageBodyError):
        MessageBody.parse(body).model()


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        model = MessageBody.parse(body).model()
    except MessageBodyError:
        return
    assert json.loads(body)["model"] == model
