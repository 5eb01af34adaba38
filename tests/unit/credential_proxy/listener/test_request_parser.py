import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.framing import HEAD_LIMIT_BYTES
from hakoiri.credential_proxy.http1.body_reader import BodyReader
from hakoiri.credential_proxy.listener.request import (
    BodyFaultError,
    ContainerRequest,
    ParsedHead,
)
from hakoiri.credential_proxy.listener.request_parser import (
    HEADERS_LIMIT,
    Progress,
    RequestParser,
    UnsoundRequestError,
)

LINE: Any = None
"""What a request needs of its connection, which parsing does not ask for."""


class Parsed:
    """A parser, and the requests that it delivered."""

    def __init__(self, limit: int = 100) -> None:
        self.requests: list[ContainerRequest] = []
        self.limit = limit
        self.parser = RequestParser(self.deliver)

    def deliver(self, head: ParsedHead) -> ContainerRequest:
        if len(self.requests) >= self.limit:
            raise UnsoundRequestError("too many")
        nothing = lambda: None  # noqa: E731 - three times the same
        body = BodyReader(hold=nothing, release=nothing, before_wait=nothing)
        self.requests.append(ContainerRequest(connection=LINE, head=head, body=body))
        return self.requests[-1]


def post(body: bytes, *, is_chunked: bool = False) -> bytes:
    framing = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % len(body)
    sent = b"%x\r\n%b\r\n0\r\nDigest: x\r\n\r\n" % (len(body), body) if is_chunked else body
    return b"POST /up HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n" + sent


@given(
    body=st.binary(min_size=1, max_size=50),
    is_chunked=st.booleans(),
    cuts=st.lists(st.integers(0, 300), max_size=5),
)
def test_requests_are_the_same_however_they_are_split(
    body: bytes, *, is_chunked: bool, cuts: list[int]
) -> None:
    raw = post(body, is_chunked=is_chunked) + b"GET /next HTTP/1.1\r\nHost: y\r\n\r\n"
    parsed = Parsed()
    edges = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    for start, end in itertools.pairwise(edges):
        assert parsed.parser.feed(raw[start:end]) is Progress.GOING_ON
    first, second = parsed.requests
    assert (first.method, first.target, first.body.take_all()) == ("POST", "/up", body)
    assert first.body.trailers == ((("digest", "x"),) if is_chunked else ())
    assert (second.target, second.raw_headers) == ("/next", ((b"Host", b"y"),))
    assert not parsed.parser.is_in_head
    assert not parsed.parser.is_in_body


def test_a_head_that_does_not_end_is_a_fault() -> None:
    parsed = Parsed()
    assert parsed.parser.feed(b"GET / HTTP/1.1\r\nX: ") is Progress.GOING_ON
    assert parsed.parser.is_in_head
    fed = 0
    while parsed.parser.feed(b"y" * 1000) is Progress.GOING_ON:
        fed += 1000
        assert fed <= HEAD_LIMIT_BYTES


def test_a_long_body_and_the_next_head_in_one_read_are_no_long_head() -> None:
    parsed = Parsed()
    raw = post(b"x" * 4 * HEAD_LIMIT_BYTES) + b"GET / HTTP/1.1\r\nHo"
    assert parsed.parser.feed(raw[:100]) is Progress.GOING_ON
    assert parsed.parser.feed(raw[100:]) is Progress.GOING_ON
    assert parsed.parser.is_in_head
    assert parsed.parser.feed(b"st: x\r\n\r\n") is Progress.GOING_ON
    assert len(parsed.requests) == 2


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * (HEADERS_LIMIT + 1) + b"\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_an_unsound_head_is_no_request(raw: bytes) -> None:
    parsed = Parsed()
    assert parsed.parser.feed(raw) is Progress.UNSOUND
    assert parsed.requests == []


def test_a_request_that_is_not_taken_is_a_fault() -> None:
    parsed = Parsed(limit=1)
    assert parsed.parser.feed(post(b"") + post(b"")) is Progress.UNSOUND
    assert len(parsed.requests) == 1


@pytest.mark.parametrize("rest", [b"0x2\r\n{}\r\n", b"0\r\nAuthorization: x\r\n\r\n", b"2\n{}"])
def test_a_body_that_is_not_sound_fails_for_its_reader(rest: bytes) -> None:
    parsed = Parsed()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert parsed.parser.feed(head) is Progress.GOING_ON
    assert parsed.parser.feed(rest) is Progress.BODY_UNSOUND
    with pytest.raises(Exception, match="not sound"):
        asyncio.run(parsed.requests[0].body.read())


def test_what_follows_a_connect_is_kept_beside_it() -> None:
    parsed = Parsed()
    raw = b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\nglued"
    assert parsed.parser.feed(raw) is Progress.UPGRADED
    (request,) = parsed.requests
    assert (request.method, request.glued, request.is_kept_alive) == ("CONNECT", b"glued", False)


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (b"0\r\nDigest: ", b"y" * 1000),
        (b"0\r\n", b"y" * 1000),
        (b"2;a=", b"y" * 1000),
        (b"2\r\n{}\r\n0\r\n", b"Digest: x\r\n"),
    ],
)
def test_chunk_extensions_and_trailers_that_do_not_end_are_a_fault(
    begun: bytes, more: bytes
) -> None:
    parsed = Parsed()
    assert parsed.parser.feed(HEAD + begun) is Progress.GOING_ON
    fed = 0
    while parsed.parser.feed(more) is Progress.GOING_ON:
        fed += len(more)
        assert fed <= HEAD_LIMIT_BYTES
    body = parsed.requests[0].body
    if begun.startswith(b"2\r\n"):
        assert asyncio.run(body.read()) == b"{}"
    with pytest.raises(BodyFaultError):
        asyncio.run(body.read())


def test_many_small_chunks_are_a_body() -> None:
    parsed = Parsed()
    assert parsed.parser.feed(HEAD) is Progress.GOING_ON
    for _ in range(3 * HEAD_LIMIT_BYTES // 1000):
        assert parsed.parser.feed(b"1\r\nx\r\n" * 200) is Progress.GOING_ON
    assert parsed.parser.feed(b"0\r\n\r\n") is Progress.GOING_ON
    assert len(parsed.requests[0].body.take_all() or b"") == 200 * (3 * HEAD_LIMIT_BYTES // 1000)
