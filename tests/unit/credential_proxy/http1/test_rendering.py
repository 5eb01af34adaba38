from typing import Any

import httptools
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.http1.rendering import (
    render_answer_head,
    render_chunk,
    render_last_chunk,
    render_request_head,
)

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True).map(lambda name: "x-" + name)
VALUES = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30
).filter(lambda value: not 0x7F <= ord(value[0] if value else "a") <= 0x9F)


class Seen:
    """What a parser makes of it."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.is_whole = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_whole = True


@given(headers=st.lists(st.tuples(NAMES, VALUES), max_size=8))
def test_a_request_head_reads_as_it_was_meant(headers: list[tuple[str, str]]) -> None:
    seen = Seen()
    parser: Any = httptools.HttpRequestParser(seen)
    parser.feed_data(render_request_head("GET", "/a?b=c", headers))
    assert seen.url == b"/a?b=c"
    assert seen.headers == [(n.encode(), v.encode("latin-1")) for n, v in headers]
    assert seen.is_whole


@given(chunks=st.lists(st.binary(min_size=1, max_size=300), max_size=8))
def test_a_chunked_body_reads_as_it_was_meant(chunks: list[bytes]) -> None:
    seen = Seen()
    parser: Any = httptools.HttpResponseParser(seen)
    parser.feed_data(render_answer_head(200, [("Transfer-Encoding", "chunked")]))
    for chunk in chunks:
        parser.feed_data(render_chunk(chunk))
    parser.feed_data(render_last_chunk([("digest", "x")]))
    assert seen.body == b"".join(chunks)
    assert seen.headers[-1] == (b"digest", b"x")
    assert seen.is_whole


def test_a_status_has_its_phrase_and_an_unknown_one_none() -> None:
    assert render_answer_head(429, []) == b"HTTP/1.1 429 Too Many Requests\r\n\r\n"
    assert render_answer_head(599, []) == b"HTTP/1.1 599 \r\n\r\n"
