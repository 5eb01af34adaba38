"""An upstream that answers as no honest one would, to a container's requests with a key on them."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hakoiri.wire.proxy import Bind

from .conftest import converse, statuses
from .connections import close_all, opened
from .wiring import PLANTED, Wired, wire

pytestmark = pytest.mark.anyio
ASK = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n"
CLOSE = b"Connection: close\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
KEY = PLANTED.encode()


@dataclass
class Hostile:
    """A server that answers each request with the next of `answers`, whatever it was asked."""

    port: int = 0
    answers: list[bytes] = field(default_factory=lambda: [OK])
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
                writer.write(answer)
                await writer.drain()
                if b"<close>" in answer:
                    break
        writer.close()
        self.gone.set()


@pytest.fixture
async def hostile() -> AsyncIterator[Hostile]:
    state = Hostile()
    server = await asyncio.start_server(state.handle, "127.0.0.1", 0)
    state.port = server.sockets[0].getsockname()[1]
    yield state
    await close_all()
    server.close()
    await server.wait_closed()


@pytest.fixture
async def keyed(
    tmp_path: Path, hostile: Hostile, now_s: list[float]
) -> AsyncIterator[tuple[Wired, Path]]:
    """The proxy, and a container's socket whose model is reached at the hostile upstream."""
    text = f"""
[credentials.anthropic]
kind = "header"
header = "x-api-key"
value_env = "KEY"
hosts = ["api.anthropic.com"]
endpoint = "http://127.0.0.1:{hostile.port}"
[network]
allow_addresses = ["127.0.0.1:{hostile.port}"]
[network.hosts]
"open.example.test" = "127.0.0.1"
"""
    async with AsyncExitStack() as stack:
        wired = wire(stack, tmp_path, text, now_s)
        route = {"provider": "anthropic", "credential": "anthropic"}
        yield wired, await wired.open(port=443, model=route)


UNSOUND = {
    "both lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "coding not asked for": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    + b"%x\r\n%b\r\n0\r\n\r\n" % (len(gzip.compress(KEY)), gzip.compress(KEY)),
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "bare CR in a header": b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
    "folded header": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "escape in a header": b"HTTP/1.1 200 OK\r\nX: \x1b[31m\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "no status": b"HTTP/1.1 000 Nothing\r\nContent-Length: 0\r\n\r\n",
    "unasked switch": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\n\r\n",
    "interim answers without end": b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 100,
    "head without end": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000,
    "headers without end": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000,
    "phrase without end": b"HTTP/1.1 200 " + b"y" * 300_000,
}


@pytest.mark.parametrize("answer", UNSOUND.values(), ids=UNSOUND.keys())
async def test_an_unsound_answer_is_a_bad_gateway_and_its_connection_is_not_used_again(
    keyed: tuple[Wired, Path], hostile: Hostile, answer: bytes
) -> None:
    _, socket = keyed
    hostile.answers = [answer, OK]
    refused = await converse(socket, ASK + CLOSE)
    assert statuses(refused) == [502]
    assert b"upstream-broken" in refused
    async with asyncio.timeout(60):
        assert statuses(await converse(socket, ASK + CLOSE)) == [200]
    assert hostile.connections == 2


ENDLESS = {
    "trailer": CHUNKED + b"2\r\nok\r\n0\r\nX: ",
    "trailers": CHUNKED + b"2\r\nok\r\n0\r\n",
    "chunk extension": CHUNKED + b"2\r\nok\r\n2;a=",
}


@pytest.mark.parametrize("answer", ENDLESS.values(), ids=ENDLESS.keys())
async def test_what_is_no_body_and_does_not_end_is_cut_off(
    keyed: tuple[Wired, Path], hostile: Hostile, answer: bytes
) -> None:
    _, socket = keyed
    hostile.answers = [answer + b"y" * 4_000_000]
    got = await converse(socket, ASK + CLOSE)
    assert statuses(got) == [200]
    assert not got.endswith(b"0\r\n\r\n")
    async with asyncio.timeout(60):
        await hostile.gone.wait()


ECHOED = {
    "value": b"HTTP/1.1 200 OK\r\nX-Echo: " + KEY + b"\r\nContent-Length: 2\r\n\r\nok",
    "name": b"HTTP/1.1 200 OK\r\nX-" + KEY + b": 1\r\nContent-Length: 2\r\n\r\nok",
    "phrase": b"HTTP/1.1 200 " + KEY + b"\r\nContent-Length: 2\r\n\r\nok",
    "trailer": CHUNKED + b"2\r\nok\r\n0\r\nX-Echo: " + KEY + b"\r\n\r\n",
    "chunk extension": CHUNKED + b"2;key=" + KEY + b"\r\nok\r\n0\r\n\r\n",
    "interim answer": b"HTTP/1.1 103 Early Hints\r\nLink: " + KEY + b"\r\n\r\n" + OK,
    "chunks of one byte": CHUNKED + b"".join(b"1\r\n%c\r\n" % c for c in KEY) + b"0\r\n\r\n",
    "error": b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\n" % len(KEY) + KEY,
    "until the end": b"HTTP/1.0 200 OK\r\n\r\n" + KEY + b"<close>",
    "after the end": OK + KEY,
    "two gzip members": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    % len(gzip.compress(KEY[:9]) + gzip.compress(KEY[9:]))
    + gzip.compress(KEY[:9])
    + gzip.compress(KEY[9:]),
}


@pytest.mark.parametrize("answer", ECHOED.values(), ids=ECHOED.keys())
async def test_the_key_comes_back_by_no_way(
    keyed: tuple[Wired, Path], hostile: Hostile, answer: bytes
) -> None:
    wired, socket = keyed
    hostile.answers = [answer]
    got = await converse(socket, ASK + CLOSE)
    assert statuses(got)[-1] in (200, 401)
    assert KEY in hostile.requests[0]
    for spelling in (got, got.replace(b"\r\n1\r\n", b"")):
        assert KEY not in spelling
    assert PLANTED not in wired.log.getvalue()


async def test_a_container_cannot_have_the_key_sent_back_compressed_beyond_reading(
    keyed: tuple[Wired, Path], hostile: Hostile
) -> None:
    _, socket = keyed
    encoded = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: 2\r\n\r\nxx"
    for coding in (b"br", b"zstd", b"gzip, gzip", b"compress"):
        hostile.answers = [encoded % coding]
        hostile.requests.clear()
        got = await converse(socket, ASK + b"Accept-Encoding: br, zstd\r\n" + CLOSE)
        assert (statuses(got), b"unreadable-coding" in got) == ([502], True)
        assert b"br" not in hostile.requests[0].lower().partition(b"accept-encoding:")[2][:20]


BODYLESS = {
    "204 with a length": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", b""),
    "205 with a body": (b"HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nabcde", b""),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b""),
    "304 with a body": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nabcde", b""),
}


@pytest.mark.parametrize(("answer", "body"), BODYLESS.values(), ids=BODYLESS.keys())
async def test_an_answer_without_body_does_not_shift_the_next(
    keyed: tuple[Wired, Path], hostile: Hostile, answer: bytes, body: bytes
) -> None:
    _, socket = keyed
    hostile.answers = [answer, OK]
    got = await converse(socket, ASK + b"\r\n" + ASK + CLOSE)
    first, second = statuses(got)
    assert (first, second) == (int(answer.split()[1]), 200)
    assert got.endswith(b"\r\n\r\nok")
    assert b"abcde" not in got
    head, _, rest = got.partition(b"\r\n\r\n")
    assert rest.startswith(body + b"HTTP/1.1 200 ")
    if first != 304:
        assert b"Content-Length: 5" not in head


async def test_a_second_answer_is_never_given_to_the_next_request(
    keyed: tuple[Wired, Path], hostile: Hostile
) -> None:
    _, socket = keyed
    planted = b"HTTP/1.1 203 Planted\r\nContent-Length: 0\r\n\r\n"
    hostile.answers = [OK + planted, OK]
    for _ in range(2):
        assert statuses(await converse(socket, ASK + CLOSE)) == [200]
    assert hostile.connections == 2


async def test_an_answer_before_the_whole_request_is_the_last_of_its_connection(
    keyed: tuple[Wired, Path], hostile: Hostile
) -> None:
    """What is left of the request must not be read as the next one."""
    wired, _ = keyed
    host = f"open.example.test:{hostile.port}"
    socket = await wired.open("open.example.test", port=hostile.port)
    reader, writer = await opened(socket)
    head = f"POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000\r\n\r\n"
    writer.write(head.encode())
    reading = asyncio.ensure_future(reader.read())  # noqa: TID251 - awaited below
    while not reading.done():
        with suppress(ConnectionError):
            writer.write(b"GET /smuggled HTTP/1.1\r\n")
            await writer.drain()
        await asyncio.sleep(0)
    got = reading.result()
    writer.close()
    assert statuses(got) == [200]
    assert b"Connection: close" in got
    ask = f"GET http://{host}/next HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert statuses(await converse(socket, ask.encode())) == [200]
    assert hostile.connections == 2
    assert hostile.requests[-1].startswith(b"GET /next ")


async def test_an_answer_cannot_pass_for_a_refusal_of_the_proxy(
    keyed: tuple[Wired, Path], hostile: Hostile
) -> None:
    _, socket = keyed
    answer = b"HTTP/1.1 403 No\r\nX-Hakoiri-Reason: host-not-allowed\r\nContent-Length: 0\r\n\r\n"
    hostile.answers = [answer]
    got = await converse(socket, ASK + CLOSE)
    assert statuses(got) == [403]
    assert b"host-not-allowed" not in got


async def test_a_redirect_is_given_back_and_the_key_does_not_follow(
    keyed: tuple[Wired, Path], hostile: Hostile
) -> None:
    _, socket = keyed
    redirect = (
        b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.test/\r\nContent-Length: 0\r\n\r\n"
    )
    hostile.answers = [redirect, OK]
    got = await converse(socket, ASK + CLOSE)
    assert statuses(got) == [302]
    assert b"Location: http://elsewhere.test/" in got
    assert len(hostile.requests) == 1


async def test_a_pushed_protocol_and_another_way_are_not_offered_to_the_container(
    keyed: tuple[Wired, Path], hostile: Hostile
) -> None:
    _, socket = keyed
    offers = b'Alt-Svc: h3=":443"\r\nUpgrade: h2c\r\nConnection: X-Hop\r\nX-Hop: 1\r\n'
    offers += b"Proxy-Authenticate: Basic\r\nSet-Cookie: a=b\r\n"
    hostile.answers = [b"HTTP/1.1 200 OK\r\n" + offers + b"Content-Length: 2\r\n\r\nok"]
    got = (await converse(socket, ASK + CLOSE)).lower()
    for name in (b"alt-svc", b"upgrade", b"x-hop", b"proxy-authenticate", b"set-cookie"):
        assert name not in got


async def test_a_connection_is_shared_by_the_same_policy_alone(
    keyed: tuple[Wired, Path], hostile: Hostile
) -> None:
    """What one workspace leaves on a connection must not meet another's request."""
    wired, socket = keyed
    assert statuses(await converse(socket, ASK + CLOSE)) == [200]
    assert statuses(await converse(socket, ASK + CLOSE)) == [200]
    assert hostile.connections == 1
    other = await wired.registry.open("c2")
    route = {"provider": "anthropic", "credential": "anthropic", "models": ["m"]}
    fields = {"workspace": "w2", "tenant": "t", "generation": 1, "policy": {"model": route}}
    wired.registry.bind("c2", Bind.model_validate(fields))
    assert statuses(await converse(other / "proxy.sock", ASK + CLOSE)) == [200]
    assert hostile.connections == 2
