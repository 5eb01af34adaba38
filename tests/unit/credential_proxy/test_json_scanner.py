import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.json_scanner import JsonScanner, MessageBodyError

scalars = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(max_size=9)
documents = st.dictionaries(
    st.text(max_size=9),
    st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
        ),
        max_leaves=12,
    ),
    max_size=4,
)


class Told(JsonScanner):
    """Writes down what it is told, strings of up to nine characters."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []

    def _string_limit(self) -> int | None:
        return 9 * len("\\ud83d\\ude00")

    def _opens(self, word: str) -> None:
        self.told.append(word)

    def _closes(self) -> None:
        self.told.append("end")

    def _named(self, name: str | None) -> None:
        self.told.append((name,))

    def _string_told(self, text: str | None) -> None:
        self.told.append(text)

    def _scalar_told(self, word: str) -> None:
        self.told.append(json.loads(word))


def read(*pieces: bytes) -> list[Any]:
    scanner = Told()
    for piece in pieces:
        scanner.feed(piece)
    scanner.end()
    return scanner.told


def written(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return ["{", *[x for k, v in value.items() for x in ((k,), *written(v))], "end"]
    if isinstance(value, list):
        return ["[", *[x for v in value for x in written(v)], "end"]
    return [value]


@given(document=documents, step=st.integers(1, 7), is_ascii=st.booleans())
def test_all_of_a_body_is_told_in_order_however_it_is_cut(
    document: dict[str, Any], step: int, *, is_ascii: bool
) -> None:
    body = json.dumps(document, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    assert read(*(body[at : at + step] for at in range(0, len(body), step))) == written(document)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xef\xbb\xbf{}",
        b"{}{}",
        b'{"a":1,}',
        b"{'a':1}",
        b'{"a":NaN}',
        b'{"a":01}',
        b'{"a":"\n"}',
        b'{"a":"\\x41"}',
        b'{"a"://\n1}',
        b'{"a":"\xff"}',
        '{"a":1}'.encode("utf-16"),
    ],
)
def test_what_some_parser_reads_otherwise_is_refused(body: bytes) -> None:
    with pytest.raises(MessageBodyError):
        read(body)


def test_a_string_past_its_limit_is_told_as_unknown() -> None:
    assert read(json.dumps({"n" * 200: "v" * 200}).encode()) == ["{", (None,), None, "end"]
