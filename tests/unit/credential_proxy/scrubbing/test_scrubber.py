import base64
import itertools
import tracemalloc
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.scrubbing.scrubber import (
    SecretPatterns,
    StreamScrubber,
    scrub_headers,
)

SECRET = 'sk-p/l+a"n:t?e=d~0123'
PATTERNS = SecretPatterns.of([SECRET])


def scrub(*chunks: bytes, patterns: SecretPatterns = PATTERNS) -> tuple[bytes, int]:
    scrubber = StreamScrubber(patterns)
    passed = b"".join(scrubber.feed(chunk) for chunk in chunks) + scrubber.finish()
    return passed, scrubber.found


@pytest.mark.parametrize(
    "spelling",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET, safe="").lower().replace("sk-p", "sk-p"),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
        SECRET.replace("/", "\\/").replace('"', '\\"'),
    ],
)
def test_each_spelling_is_found(spelling: str) -> None:
    passed, found = scrub(b"before " + spelling.encode() + b" after")
    assert found == 1
    assert passed == b"before " + b"*" * len(spelling) + b" after"


@given(before=st.binary(max_size=9), after=st.binary(max_size=9), is_url=st.booleans())
def test_it_is_found_in_base64_at_any_place(before: bytes, after: bytes, *, is_url: bool) -> None:
    encode = base64.urlsafe_b64encode if is_url else base64.b64encode
    text = encode(before + SECRET.encode() + after)
    passed, found = scrub(text)
    assert found >= 1
    assert len(passed) == len(text)
    left = base64.b64decode(passed.replace(b"*", b"A"), altchars=b"-_" if is_url else None)
    assert SECRET[2:-2].encode() not in left


SMALL = st.lists(st.text("ab", min_size=2, max_size=5).map(str.encode), min_size=1, max_size=3)


@given(patterns=SMALL, text=st.text("abc", max_size=60), cuts=st.lists(st.integers(0, 60)))
def test_however_it_is_split_no_secret_comes_through(
    patterns: list[bytes], text: str, cuts: list[int]
) -> None:
    made = SecretPatterns(patterns)
    data = text.encode()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    scrubber = StreamScrubber(made)
    passed = b""
    for start, end in itertools.pairwise(edges):
        passed += scrubber.feed(data[start:end])
        assert end - len(passed) < max(len(pattern) for pattern in patterns)
    passed += scrubber.finish()
    assert len(passed) == len(data)
    assert not any(pattern in passed for pattern in patterns)
    if not any(pattern in data for pattern in patterns):
        assert passed == data


@given(st.binary(max_size=300), st.integers(1, 50))
def test_what_holds_no_secret_is_not_changed(data: bytes, size: int) -> None:
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    assert scrub(*chunks) == (data, 0)


def test_an_event_that_cannot_begin_a_secret_is_not_held_back() -> None:
    scrubber = StreamScrubber(PATTERNS)
    assert scrubber.feed(b"data: hello\n\n") == b"data: hello\n\n"
    assert scrubber.feed(b"data: sk-p") == b"data: "
    assert scrubber.feed(b"eed\n\n") == b"sk-peed\n\n"


def test_a_short_secret_is_not_looked_for() -> None:
    assert not SecretPatterns.of(["short"])
    assert scrub(b"short", patterns=SecretPatterns.of(["short"])) == (b"short", 0)


def test_headers_are_scrubbed_by_value() -> None:
    headers = (("X-Echo", f"key={SECRET}"), ("X-Other", "caf\xe9"))
    scrubbed, found = scrub_headers(headers, PATTERNS)
    assert found == 1
    assert scrubbed == (("X-Echo", "key=" + "*" * len(SECRET)), ("X-Other", "caf\xe9"))


def test_a_headers_name_is_scrubbed_too() -> None:
    patterns = SecretPatterns.of(["planted-api-key"])
    scrubbed, found = scrub_headers((("X-planted-api-key-Y", "v"),), patterns)
    assert (scrubbed, found) == ((("X-***************-Y", "v"),), 1)


def test_it_is_found_wherever_it_is_cut_in_two_or_three() -> None:
    text = b"a" + SECRET.encode() + b"b"
    places = range(len(text) + 1)
    for first, second in itertools.combinations_with_replacement(places, 2):
        passed, found = scrub(text[:first], text[first:second], text[second:])
        assert (passed, found) == (b"a" + b"*" * len(SECRET) + b"b", 1)


def test_a_long_secret_takes_little_memory() -> None:
    long = "".join(chr(33 + at * 7 % 94) for at in range(8000))
    tracemalloc.start()
    try:
        patterns = SecretPatterns.of([long])
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 1_000_000
    passed, found = scrub(long[:5000].encode(), long[5000:].encode(), patterns=patterns)
    assert (passed, found) == (b"*" * 8000, 1)
