import pytest

from .conftest import Proxy, Upstream, anthropic_policy, converse, host_policy, statuses

pytestmark = pytest.mark.anyio
POST = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

UNSOUND = {
    "both lengths": POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "signed length": POST + b"Content-Length: +2\r\n\r\n{}",
    "length with underscore": POST + b"Content-Length: 1_0\r\n\r\n{}",
    "unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked then identity": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "coding twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "coding in 1.0": b"POST /v1/messages HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare line feeds": b"POST /v1/messages HTTP/1.1\nHost: x\n\n",
    "folded header": POST + b"X-A: b\r\n c\r\n\r\n",
    "space before colon": b"POST /v1/messages HTTP/1.1\r\nHost : x\r\n\r\n",
    "NUL": POST + b"X-A: b\0c\r\n\r\n",
    "bare CR": POST + b"X-A: b\rc\r\n\r\n",
    "two hosts": POST + b"Host: y\r\n\r\n",
    "no host": b"POST /v1/messages HTTP/1.1\r\n\r\n",
    "HTTP/0.9": b"GET /v1/models\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2 in text": b"GET /v1/models HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/1.2": b"GET /v1/models HTTP/1.2\r\nHost: x\r\n\r\n",
    "ICE": b"GET /v1/models ICE/1.0\r\nHost: x\r\n\r\n",
    "underscore for hyphen": POST + b"Content_Length: 5\r\nContent-Length: 2\r\n\r\n{}",
    "coding with underscore": POST + b"Transfer_Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
    "coding with a tab in its name": POST + b"Transfer-Encoding\x0b: chunked\r\n\r\n0\r\n\r\n",
    "coding behind a tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunk size too large": CHUNKED + b"FFFFFFFFFFFFFFFFF\r\n",
    "negative chunk size": CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",
    "chunk without its end": CHUNKED + b"2\r\n{}0\r\n\r\n",
    "bare line feed after a chunk": CHUNKED + b"2\r\n{}\n0\r\n\r\n",
    "endless trailer": CHUNKED + b"2\r\n{}\r\n0\r\nDigest: " + b"y" * 1_000_000,
    "endless trailers": CHUNKED + b"2\r\n{}\r\n0\r\n" + b"Digest: y\r\n" * 100_000,
    "endless chunk extension": CHUNKED + b"2;a=" + b"y" * 1_000_000,
    "hex chunk size": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",
    "LF in chunk extension": CHUNKED + b"2;a\n\r\n{}\r\n0\r\n\r\n",
    "trailer": CHUNKED + b"2\r\n{}\r\n0\r\nAuthorization: Bearer theirs\r\n\r\n",
    "trailer and pipelined": CHUNKED
    + b"2\r\n{}\r\n0\r\nx-api-key: theirs\r\n\r\n"
    + POST
    + b"\r\n",
    "trailer with raw bytes": CHUNKED + b"2\r\n{}\r\n0\r\nDigest: \xff\r\n\r\n",
    "length as trailer": CHUNKED + b"2\r\n{}\r\n0\r\nContent-Length: 3\r\n\r\n",
    "CONNECT with body": b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n"
    b"Content-Length: 2\r\n\r\n",
    "userinfo": b"CONNECT u@a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n",
    "brackets": b"CONNECT [a.test]:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n",
    "NUL in a host": b"CONNECT a.test\0:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n",
    "escaped NUL in a host": b"CONNECT a.test%00:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n",
    "escaped dot in a host": b"CONNECT a%2etest:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n",
    "line break in a host": b"CONNECT a.test\r\n:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n",
    "ideographic full stop": "CONNECT a。test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n".encode(),
    "full-width letter": "GET http://ａ.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n".encode(),  # noqa: RUF001
    "raw bytes": b"GET /v1/\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "head too long": POST
    + b"".join(b"X-%d: %s\r\n" % (n, b"v" * 8000) for n in range(9))
    + b"\r\n",
    "too many headers": POST + b"".join(b"X-%d: v\r\n" % n for n in range(200)) + b"\r\n",
    "Host differs": b"GET http://files.example.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n",
    "https URL": b"GET https://files.example.test/ HTTP/1.1\r\nHost: files.example.test\r\n\r\n",
}


@pytest.mark.parametrize("sent", UNSOUND.values(), ids=UNSOUND.keys())
async def test_an_unsound_request_is_answered_400_and_closed(
    proxy: Proxy, upstream: Upstream, sent: bytes
) -> None:
    policy = {**anthropic_policy(), **host_policy("files.example.test", upstream.port)}
    socket = await proxy.open("c1", policy)
    answer = await converse(socket, sent)
    assert statuses(answer) == [400]
    assert upstream.requests == []
    await proxy.logged(event="proxy_request_blocked", status=400)
    assert len(proxy.lines) == 1


async def test_a_trailer_that_is_taken_follows_a_streamed_body(
    proxy: Proxy, upstream: Upstream
) -> None:
    socket = await proxy.open("c1", host_policy("files.example.test", upstream.port))
    host = f"files.example.test:{upstream.port}".encode()
    head = b"POST http://%s/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n" % (host, host)
    body = b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nDigest: sha-256=x\r\n\r\n"
    assert statuses(await converse(socket, head + b"Trailer: Digest\r\n" + body)) == [200]
    (_, _, headers, sent) = upstream.requests[0]
    assert sent == b"{}"
    assert ("Trailer", "Digest") not in headers


async def test_each_request_of_a_connection_is_decided_anew(
    proxy: Proxy, upstream: Upstream
) -> None:
    socket = await proxy.open("c1", host_policy("files.example.test", upstream.port))
    host = f"files.example.test:{upstream.port}".encode()
    good = b"GET http://%s/ HTTP/1.1\r\nHost: %s\r\n\r\n" % (host, host)
    bad = b"GET http://other.example.test/ HTTP/1.1\r\nHost: other.example.test\r\n\r\n"
    answer = await converse(socket, good + bad + good)
    assert statuses(answer) == [200, 403]
    assert len(upstream.requests) == 1


async def test_a_log_line_stays_a_line(proxy: Proxy) -> None:
    socket = await proxy.open("c1", anthropic_policy())
    target = b"/v1/" + b"a" * 1000 + b'%0a%1b[31m"\\'
    await converse(socket, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    line = await proxy.logged(event="proxy_request_blocked")
    assert len(line["path"]) == 256
