import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hakoiri.credential_proxy.budgets.charge import Operation
from hakoiri.credential_proxy.json_scanner import DEPTH_LIMIT, TOKENS_LIMIT, MessageBodyError
from hakoiri.credential_proxy.message_body import (
    NAME_LIMIT_CHARS,
    VALUE_LIMIT_CHARS,
    MemberScanner,
    Scalar,
    max_tokens_names,
    max_tokens_of,
    model_of,
    read_members,
)

NAMES = ("model", "max_tokens")

scalars = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text()
values = st.recursive(
    scalars | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
names = st.text().filter(lambda name: name.casefold() not in NAMES)
objects = st.builds(
    lambda others, wanted: others | wanted,
    st.dictionaries(names, values, max_size=5),
    st.dictionaries(st.sampled_from(NAMES), scalars),
)
SPELLINGS: dict[str, Any] = {"indent": 1, "ensure_ascii": False}


def cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return [body[start:end] for start, end in pairwise(edges)]


def strictly(body: bytes) -> list[tuple[str, Any]]:
    """Return the pairs of the top object, or raise ValueError: json takes more than RFC 8259."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    pairs = json.loads(body.decode("utf-8"), object_pairs_hook=list, parse_constant=refuse)
    if not body.lstrip(b" \t\r\n").startswith(b"{"):
        raise ValueError("no object")
    found: list[tuple[str, Any]] = pairs
    return found


@given(document=objects, is_spread=st.booleans(), places=st.lists(st.integers(0, 2**16)))
def test_what_json_finds_is_found_however_the_body_is_cut(
    *, document: dict[str, Any], is_spread: bool, places: list[int]
) -> None:
    text = json.dumps(document, **(SPELLINGS if is_spread else {}))
    try:
        body = text.encode()
    except UnicodeEncodeError:  # lone surrogates
        body = json.dumps(document).encode()
    wanted = {name: document[name] for name in NAMES if name in document}
    assert read_members(cut(body, places), NAMES) == wanted


near_json = st.lists(
    st.sampled_from([*'{}[],:"\\ \n\t', *"model", *"0123.eE+-", "true", "null", "\\u006d"]),
    max_size=40,
).map(lambda parts: '{"model": ' + "".join(parts))
mutated = st.builds(
    lambda document, at, what: (
        (text := json.dumps(document))[: at % len(text)] + what + text[at % len(text) :]
    ),
    objects,
    st.integers(0, 2**16),
    st.sampled_from([*'{}[],:"\\\x00 1-.', "NaN", "//", "'", "\ufeff", "\xa0", '"model": 1,']),
)


@given(text=near_json | mutated, places=st.lists(st.integers(0, 2**16), max_size=4))
@example(text='{"model": "a", "max_tokens": 01}', places=[])
@example(text='{"model": "a", "max_tokens": 1.}', places=[30])
@example(text='{"model": "a", "x": NaN}', places=[])
@example(text='{"model": "a", "x": tru}', places=[22])
@example(text='{"model": "a",}', places=[])
@example(text='{"x": [1,], "model": "a"}', places=[])
@example(text='{"x": "\\ud8', places=[])
def test_what_is_read_is_what_json_reads_and_is_there_once(text: str, places: list[int]) -> None:
    body = text.encode("utf-8", "surrogatepass")
    found: dict[str, Scalar] | None
    try:
        found = read_members(cut(body, places), NAMES)
    except MessageBodyError:
        found = None
    assert found == expected(body)


def expected(body: bytes) -> dict[str, Scalar] | None:
    try:
        pairs = strictly(body)
    except (ValueError, RecursionError):
        return None
    named = [(name, value) for name, value in pairs if name.casefold() in NAMES]
    is_plain = all(name in NAMES and not isinstance(value, list) for name, value in named)
    is_once = len({name for name, _ in named}) == len(named)
    return dict(named) if is_plain and is_once else None


@given(body=st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        members = read_members([body], NAMES)
    except MessageBodyError:
        return
    assert members == expected(body)


def test_the_model_is_read_wherever_it_stands() -> None:
    body = b'{"messages": [{"model": "inner"}], "model": "outer"}'
    assert model_of(read_members([body], ["model"])) == "outer"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b'[["model", "a"]]',
        b"{}",
        b'{"model": 1}',
        b'{"model": {"a": 1}}',
        b'{"model": "a", "model": "b"}',
        b'{"model": "a", "MODEL": "b"}',
        b'{"model": "a", "\\u006dodel": "b"}',
        b'{"Model": "a"}',
        '{"model": "a"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"model": "a"}',
        b'{"model": "a"} {"model": "b"}',
        b'{"model": "a\x01"}',
        b'{"model": "a", "x": "\xff"}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_two_parsers_may_read_differently_is_refused(body: bytes) -> None:
    with pytest.raises(MessageBodyError):
        model_of(read_members([body], ["model"]))


def test_a_name_that_another_parser_folds_into_a_wanted_one_is_refused() -> None:
    body = '{"max_tokens": 1, "max_to\u212aens": 2}'.encode()  # the Kelvin sign
    with pytest.raises(MessageBodyError, match="max_tokens"):
        read_members([body], NAMES)


def nested(depth: int) -> bytes:
    return b'{"x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_depth_is_bounded() -> None:
    assert read_members([nested(DEPTH_LIMIT)], NAMES) == {}
    with pytest.raises(MessageBodyError, match="deep"):
        read_members([nested(DEPTH_LIMIT + 1)], NAMES)


def test_tokens_are_bounded() -> None:
    around = len('{"x":[') - 2 + len("]}")  # the name is one token
    values_allowed = (TOKENS_LIMIT - around + 2) // 2
    with pytest.raises(MessageBodyError, match="tokens"):
        read_members([b'{"x":[', *[b"1," * values_allowed], b"1,1]}"], NAMES)


def test_names_and_wanted_values_are_bounded_and_other_texts_are_not() -> None:
    long = "x" * (VALUE_LIMIT_CHARS + 1)
    assert read_members([json.dumps({"other": long, "model": long[1:]}).encode()], NAMES) == {
        "model": long[1:]
    }
    with pytest.raises(MessageBodyError, match="'model' in the body is longer"):
        read_members([json.dumps({"model": long}).encode()], NAMES)
    with pytest.raises(MessageBodyError, match="a name in the body is longer"):
        read_members([json.dumps({"n" * (NAME_LIMIT_CHARS + 1): 1}).encode()], NAMES)


def test_what_is_kept_of_a_large_body_is_small() -> None:
    scanner = MemberScanner(NAMES)
    scanner.feed(b'{"x": "')
    for _ in range(100):
        scanner.feed(b"y" * 65536)
        scanner.feed(b"\\")
        scanner.feed(b"n")
        assert len(scanner._rest) < 256
    scanner.feed(b'", "model": "m"}')
    assert scanner.finish() == {"model": "m"}


def most_of(body: bytes, operation: Operation) -> int | None:
    return max_tokens_of(read_members([body], max_tokens_names(operation)), operation)


@pytest.mark.parametrize(
    ("operation", "body", "most"),
    [
        ("messages", {"max_tokens": 5}, 5),
        ("invoke", {"max_tokens": 1, "thinking": {"max_tokens": 9}}, 1),
        ("invoke", {"inferenceConfig": {"maxTokens": 9}}, None),
        ("messages", {}, None),
        ("messages", {"max_tokens": None}, None),
        ("converse", {"inferenceConfig": {"maxTokens": 7}}, 7),
        ("converse", {"inferenceConfig": {"a": {"maxTokens": 9}, "maxTokens": 7}}, 7),
        ("converse", {"a": {"inferenceConfig": {"maxTokens": 9}}}, None),
        ("converse", {"inferenceConfig": {}}, None),
        ("converse", {"inferenceConfig": None}, None),
        ("converse", {"max_tokens": 7}, None),
        ("converse", {"maxTokens": 7, "messages": [{"maxTokens": 8}]}, None),
        ("converse", {"additionalModelRequestFields": {"top_k": 2}}, None),
    ],
)
def test_the_most_it_asks_for_is_read_where_the_api_reads_it(
    operation: Operation, body: object, most: int | None
) -> None:
    assert most_of(json.dumps(body).encode(), operation) == most


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("messages", b'{"max_tokens": 1, "max_tokens": 9}'),
        ("messages", b'{"max_tokens": 1, "MAX_TOKENS": 9}'),
        ("messages", b'{"max_tokens": 1, "max\\u005ftokens": 9}'),
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
        ("converse", b'{"inferenceConfig": {}, "InferenceConfig": {"maxTokens": 9}}'),
        ("converse", b'{"inferenceConfig": null, "inferenceConfig": {"maxTokens": 9}}'),
        ("converse", b'{"inferenceConfig": [["maxTokens", 1]]}'),
        ("converse", b'{"inferenceConfig": 5}'),
        ("converse", b'{"inferenceConfig": "maxTokens"}'),
        ("converse", b'{"additionalModelRequestFields": {"max_tokens": 9}}'),
        ("converse", b'{"additionalModelRequestFields": {"max_tokens": null}}'),
        ("converse", b'{"additionalModelRequestFields": {"Max_New_Tokens": 9}}'),
        ("converse", b'{"additionalModelRequestFields": {"maxtokens": 9}}'),
    ],
)
def test_a_most_that_could_be_read_otherwise_is_refused(operation: Operation, body: bytes) -> None:
    with pytest.raises(MessageBodyError):
        most_of(body, operation)
