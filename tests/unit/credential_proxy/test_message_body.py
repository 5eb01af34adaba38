import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.budgets.charge import Operation
from hakoiri.credential_proxy.message_body import (
    ELEMENTS_LIMIT,
    MessageBody,
    MessageBodyError,
)


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


@pytest.mark.parametrize(
    ("operation", "body", "most"),
    [
        ("messages", {"max_tokens": 5}, 5),
        ("invoke", {"max_tokens": 1, "thinking": {"max_tokens": 9}}, 1),
        ("invoke", {"inferenceConfig": {"maxTokens": 9}}, None),
        ("messages", {}, None),
        ("messages", {"max_tokens": None}, None),
        ("converse", {"inferenceConfig": {"maxTokens": 7}}, 7),
        ("converse", {"inferenceConfig": {}}, None),
        ("converse", {"max_tokens": 7}, None),
        ("converse", {"additionalModelRequestFields": {"top_k": 2}}, None),
    ],
)
def test_the_most_it_asks_for_is_read_where_the_api_reads_it(
    operation: Operation, body: object, most: int | None
) -> None:
    assert MessageBody.parse(json.dumps(body).encode()).max_tokens(operation) == most


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("messages", b'{"max_tokens": 1, "max_tokens": 9}'),
        ("messages", b'{"max_tokens": 1, "MAX_TOKENS": 9}'),
        ("messages", b'{"Max_tokens": 1}'),
        ("messages", b'{"max_tokens": "1"}'),
        ("messages", b'{"max_tokens": true}'),
        ("messages", b'{"max_tokens": 1.0}'),
        ("messages", b'{"max_tokens": 0}'),
        ("messages", b'{"max_tokens": -1}'),
        ("messages", b'{"max_tokens": 10000001}'),
        ("messages", b'{"max_tokens": null, "max_tokens": 9}'),
        ("converse", b'{"inferenceConfig": {"maxTokens": 1, "maxTokens": 9}}'),
        ("converse", b'{"inferenceConfig": {"maxtokens": 1}}'),
        ("converse", b'{"inferenceConfig": {"maxTokens": 1}, "inferenceConfig": {}}'),
        ("converse", b'{"inferenceConfig": [["maxTokens", 1]]}'),
        ("converse", b'{"inferenceConfig": 5}'),
        ("converse", b'{"additionalModelRequestFields": {"max_tokens": 9}}'),
        ("converse", b'{"additionalModelRequestFields": {"Max_New_Tokens": 9}}'),
    ],
)
def test_a_most_that_could_be_read_otherwise_is_refused(operation: Operation, body: bytes) -> None:
    with pytest.raises(MessageBodyError):
        MessageBody.parse(body).max_tokens(operation)


def test_a_body_of_endless_elements_is_refused_before_it_is_parsed() -> None:
    for element in (b"[],", b'"",', b"0,", b'"\\\\",', b"{},"):
        body = b'{"a":[' + element * (ELEMENTS_LIMIT + 1) + b"0]}"
        with pytest.raises(MessageBodyError, match="elements"):
            MessageBody.parse(body)


def test_commas_and_brackets_in_text_are_no_elements() -> None:
    text = 'a, [b], {"c": "d\\\\"}\n' * (ELEMENTS_LIMIT // 4)
    body = json.dumps({"model": "m", "messages": [text, text]}).encode()
    assert MessageBody.parse(body).model() == "m"


@pytest.mark.parametrize("piece", [b'"\\', b'"', b"\\", b'\\"', b'"\\",'])
def test_a_body_that_is_no_json_is_refused_in_time_that_goes_by_its_length(piece: bytes) -> None:
    body = b'{"a":["' + piece * 1_000_000 + b"," * (ELEMENTS_LIMIT + 1)
    with pytest.raises(MessageBodyError):
        MessageBody.parse(body)


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        model = MessageBody.parse(body).model()
    except MessageBodyError:
        return
    assert json.loads(body)["model"] == model
