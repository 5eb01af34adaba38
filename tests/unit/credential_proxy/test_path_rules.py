import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.path_rules import find_path_fault, is_matched
from hakoiri.wire.policy import Rule


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/", "/"),
        ("/**", "/"),
        ("/**", "/a/b/c"),
        ("/a/**", "/a/b"),
        ("/a/**", "/a/"),
        ("/a/**", "/a"),
        ("/a/**/z", "/a/z"),
        ("/a/**/z", "/a/b/z/c/z"),
        ("/repos/*/issues", "/repos/x/issues"),
        ("/v*/x", "/v12/x"),
        ("/*.git/info/refs", "/a.git/info/refs"),
        ("/a*b*c", "/aXbYbZc"),
        ("/**/x/**/y/**", "/1/x/2/y/3/4"),
        ("/caf%c3%A9", "/caf%C3%a9"),
    ],
)
def test_what_fits_a_pattern(pattern: str, path: str) -> None:
    assert is_matched(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/", "/a"),
        ("/a", "/A"),
        ("/a", "/a/"),
        ("/a/*", "/a/b/c"),
        ("/a/**", "/ab"),
        ("/a/**/z", "/a/b"),
        ("/*.git", "/a/b.git"),
        ("/ab*ba", "/aba"),
        ("/a*b*c", "/aXcYb"),
    ],
)
def test_what_does_not(pattern: str, path: str) -> None:
    assert not is_matched(pattern, path)


PIECES = st.lists(st.sampled_from(["a", "b", "*", "**", "a*", "*b", "a*b"]), max_size=5)
SEGMENTS = st.lists(st.text("ab", max_size=3), min_size=1, max_size=6)


@given(pieces=PIECES, segments=SEGMENTS)
def test_it_agrees_with_a_regular_expression(pieces: list[str], segments: list[str]) -> None:
    path = "/" + "/".join(segments)
    regex = "".join(
        "(?:/[^/]*)*" if piece == "**" else "/" + re.escape(piece).replace(r"\*", "[^/]*")
        for piece in pieces
    )
    wanted = re.fullmatch(regex, path) is not None if pieces else path == "/"
    assert is_matched("/" + "/".join(pieces), path) == wanted


def test_a_pattern_made_to_be_slow_is_not() -> None:
    pattern, path = "/**/a" * 60 + "/b", "/a" * 250
    assert not is_matched(pattern, path)
    assert not is_matched("/" + "a*" * 500 + "b", "/" + "a" * 16_000)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/a/b/",
        "/a%20b",
        "/@scope%2Cx",
        "/a;b=c",
        "/~x/$metadata",
        "/.well-known/..a",
        "/100%25/a%2510",
    ],
)
def test_a_plain_path_has_no_fault(path: str) -> None:
    assert find_path_fault(path) is None


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "//a",
        "/a//b",
        "/./a",
        "/a/..",
        "/a/..;x/b",
        "/a/..%3bx/b",
        "/a/.%3B/b",
        "/a/%252e%252e/b",
        "/a%252fb",
        "/a%25255cb",
        "/a%2500",
        "/a/%2e%2e/b",
        "/a/%2E/b",
        "/a%2fb",
        "/a%5Cb",
        "/a\\b",
        "/a%00",
        "/a%0d%0a",
        "/a%7f",
        "/%61",
        "/a%7E",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a b",
        "/a?b",
        "/a#b",
        "/é",
        '/a"b',
        "/" + "a" * 20_000,
        "/a" * 300,
    ],
)
def test_what_two_servers_might_read_differently_is_a_fault(path: str) -> None:
    assert find_path_fault(path) is not None


@pytest.mark.parametrize("pattern", ["a", "/a/../b", "//", "/a/**b", "/a?b", "/é", "/a b", ""])
def test_a_pattern_that_means_nothing_is_refused_at_load(pattern: str) -> None:
    with pytest.raises(ValueError, match="paths"):
        Rule(host="a.test", paths=[pattern])
