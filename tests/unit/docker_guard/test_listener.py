"""The socket itself, by bytes: what is no proper request reaches nothing behind it."""

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.unit.docker_guard.bodies import ID

from hakoiri.audit.writer import NoAuditLog
from hakoiri.docker_guard import caller_connection, listener
from hakoiri.docker_guard.call_log import CallLog
from hakoiri.docker_guard.call_records import CallRecords
from hakoiri.docker_guard.calls import Call, CreateContainer
from hakoiri.docker_guard.service import Answer

pytestmark = pytest.mark.anyio

VERSION = b"GET /v1.41/version HTTP/1.1\r\nHost: g\r\n\r\n"
CREATE = f"/v1.41/containers/create?name=hakoiri-{ID}"
JSON = "Content-Type: application/json\r\n"


CREATED = Answer(201, {"Id": "x"})


@dataclass
class Served:
    """A guard's socket with nothing behind it."""

    path: Path
    log: io.StringIO
    calls: list[tuple[Call, bytes]] = field(default_factory=list)

    answers: list[Answer] = field(default_factory=list)
    """What is answered, and then `CREATED`."""

    may_end: asyncio.Event | None = None
    """Waited for by each call, if there is one."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def carry_out(self, call: Call, body: bytes) -> Answer:
        self.calls.append((call, body))
        self.asked.set()
        if self.may_end is not None:
            await self.may_end.wait()
        self.done.set()
        return self.answers.pop(0) if self.answers else CREATED

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def send(self, request: str | bytes) -> tuple[int, dict[str, object]]:
        async with self.connected() as (reader, writer):
            writer.write(request.encode() if isinstance(request, str) else request)
            return await answered(reader)

    @property
    def records(self) -> CallRecords:
        return CallRecords(log=CallLog(self.log), audit=NoAuditLog())

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


async def answered(reader: asyncio.StreamReader) -> tuple[int, dict[str, object]]:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [
        int(line.split(b":")[1])
        for line in head.splitlines()
        if line.lower().startswith(b"content-length")
    ]
    content = await reader.readexactly(sum(lengths))
    return int(head.split()[1]), json.loads(content) if content else {}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    made = Served(tmp_path / "s", io.StringIO())
    one = listener.Listener(
        carry_out=made.carry_out,
        client_uids=(os.geteuid(),),
        records=made.records,
    )
    server = await listener.start(one, listener.listen_at(made.path, mode=0o600))
    yield made
    await server.close()


def post(target: str = CREATE, headers: str = JSON, body: str = "{}") -> str:
    length = f"Content-Length: {len(body)}\r\n"
    return f"POST {target} HTTP/1.1\r\nHost: guard\r\n{headers}{length}\r\n{body}"


async def test_a_proper_call_is_carried_out_with_its_body(served: Served) -> None:
    assert await served.send(post(body='{"a": 1}')) == (201, {"Id": "x"})
    assert served.calls == [(CreateContainer(ID), b'{"a": 1}')]
    (line,) = served.lines()
    assert line["event"] == "engine_call_allowed"
    assert line["pid"] == os.getpid()
    assert line["uid"] == os.getuid()


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (post(target=CREATE.replace("/containers", "//containers")), 400),
        (post(target=CREATE.replace("/create", "%2fcreate")), 400),
        (post(body=""), 411),
        (post(headers="").replace("Content-Length: 2\r\n", "").removesuffix("{}"), 411),
        (post(headers="Content-Type: text/plain\r\n"), 415),
        (post(headers=JSON + "Transfer-Encoding: chunked\r\n"), 400),
        (
            post(
                headers=JSON + "Transfer-Encoding: chunked\r\n", body="2\r\n{}\r\n0\r\n\r\n"
            ).replace("Content-Length: 12\r\n", ""),
            400,
        ),
        (post(headers=JSON + "Content-Encoding: gzip\r\n"), 400),
        (post(headers=JSON + "Expect: 100-continue\r\n"), 400),
        (post(headers=JSON + "Connection: Upgrade\r\nUpgrade: tcp\r\n"), 400),
        (post(headers=JSON + "Content-Length: 2\r\n"), 400),
        (post(headers=JSON + "Content-Length: +2\r\n"), 400),
        (post(headers=JSON, body=" " * (256 * 1024 + 1)), 413),
        (post(headers=JSON).replace("Content-Length: 2", "Content-Length: " + "9" * 30), 400),
        (
            "GET /v1.41/info HTTP/1.1\r\nHost: g\r\nContent-Length: 2\r\n\r\n{}",
            400,
        ),
        ("GET /v1.41/info HTTP/1.1\r\nHost: g\r\nX: " + "a" * 20_000 + "\r\n\r\n", 400),
        ("GET /v1.41/" + "a" * 20_000 + " HTTP/1.1\r\nHost: g\r\n\r\n", 400),
        ("GET /v1.41/info HTTP/1.1\nHost: g\n\n", 400),
        ("\x16\x03\x01 not http\r\n\r\n", 400),
        ("GET http://x/v1.41/info HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("GET /v1.41/version HTTP/1.1\r\nHost: g\r\n\r\n", 403),
        ("GET /v1.41/info HTTP/1.0\r\nHost: g\r\n\r\n", 400),
        ("GET /v1.41/info HTTP/1.1\r\nHost: g\r\nHost: h\r\n\r\n", 400),
        (post(headers=JSON + "content-type: text/plain\r\n"), 400),
        (post(headers=JSON + "".join(f"X-{n}: x\r\n" for n in range(70))), 400),
        ("GET /v1.41/info HTTP/1.1\r\n" + ("X-%s: " % ("a" * 4000)) * 3 + "\r\n\r\n", 400),
        ("CONNECT guard:80 HTTP/1.1\r\nHost: g\r\n\r\n", 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ],
)
async def test_what_could_be_read_in_two_ways_reaches_nothing_and_is_told(
    served: Served, request_text: str, status: int
) -> None:
    seen, problem = await served.send(request_text)
    assert served.calls == []
    assert (seen, problem["status"]) == (status, status)
    assert str(problem["type"]).startswith("urn:hakoiri:problem:")
    (line,) = served.lines()
    assert line["event"] == "engine_call_refused"
    assert line["status"] == status


async def test_a_second_request_on_a_connection_is_decided_anew(served: Served) -> None:
    async with served.connected() as (reader, writer):
        for _ in range(3):
            writer.write(post().encode())
            assert await answered(reader) == (201, {"Id": "x"})
        writer.write(VERSION)
        assert (await answered(reader))[0] == 403
        assert await reader.read() == b"", "after a refusal the connection ends"
    assert len(served.calls) == 3
    assert [line["status"] for line in served.lines()] == [201, 201, 201, 403]


@pytest.mark.parametrize("is_at_once", [True, False])
async def test_a_request_before_its_turn_is_not_read(served: Served, *, is_at_once: bool) -> None:
    served.may_end = asyncio.Event()
    async with asyncio.timeout(20), served.connected() as (reader, writer):
        writer.write(post().encode() + (post().encode() if is_at_once else b""))
        await served.asked.wait()
        if not is_at_once:
            writer.write(post().encode())
            await writer.drain()
            await asyncio.sleep(0)
        served.may_end.set()
        assert await answered(reader) == (201, {"Id": "x"})
        assert await reader.read() == b""
    assert len(served.calls) == 1


async def test_a_request_before_its_turn_adds_nothing_to_the_one_before(served: Served) -> None:
    later = f"POST {CREATE} HTTP/1.1\r\n{JSON}Host: guard\r\nContent-Length: 2\r\n\r\n{{}}"
    status, problem = await served.send(post(headers="") + later)
    assert (status, problem["type"]) == (415, "urn:hakoiri:problem:not-json")
    assert served.calls == []


async def test_a_request_is_the_same_wherever_it_is_cut(served: Served) -> None:
    whole = post(body='{"a": 1}').encode()
    async with served.connected() as (reader, writer):
        for cut in range(1, len(whole)):
            writer.write(whole[:cut])
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(whole[cut:])
            assert await answered(reader) == (201, {"Id": "x"}), f"cut at {cut}"
    assert served.calls == [(CreateContainer(ID), b'{"a": 1}')] * (len(whole) - 1)


async def test_an_answer_without_a_document_has_no_length_where_there_can_be_none(
    served: Served,
) -> None:
    served.answers = [Answer(204), Answer(304)]
    async with served.connected() as (reader, writer):
        for expected in (b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\n\r\n"):
            writer.write(post().encode())
            assert await reader.readuntil(b"\r\n\r\n") == expected
        writer.write(post().encode())
        assert await answered(reader) == (201, {"Id": "x"})


async def test_what_was_asked_for_is_carried_out_though_the_caller_is_gone(served: Served) -> None:
    served.may_end = asyncio.Event()
    async with served.connected() as (_, writer):
        writer.write(post().encode())
        await served.asked.wait()
    served.may_end.set()
    await served.done.wait()
    await asyncio.sleep(0)
    assert served.lines()[0]["status"] == 201


class Closing(asyncio.Transport):
    """A transport whose other end is gone; what is written to it raises, as uvloop's does."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        del name
        return default

    def is_closing(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        raise RuntimeError(data)

    def abort(self) -> None:
        """It ends by itself."""


async def test_nothing_is_written_to_a_caller_who_leaves(served: Served) -> None:
    one = listener.Listener(carry_out=served.carry_out, client_uids=(-1,), records=served.records)
    for request in (b"no request\r\n\r\n", VERSION, post().encode()):
        server = listener.CallServer(one)
        connection = server.connection()
        connection.connection_made(Closing())
        connection.data_received(request)
        await server.close()
    assert [line["status"] for line in served.lines()] == [400, 403, 201]


async def test_a_guard_that_is_told_to_stop_ends_what_is_under_way(tmp_path: Path) -> None:
    made = Served(tmp_path / "s", io.StringIO(), may_end=asyncio.Event())
    one = listener.Listener(carry_out=made.carry_out, client_uids=(), records=made.records)
    server = await listener.start(one, listener.listen_at(made.path, mode=0o600))
    async with made.connected() as (reader, writer), made.connected() as (idle, _):
        writer.write(post().encode())
        await made.asked.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(server.close())
            assert await idle.read() == b""
            assert made.may_end is not None
            made.may_end.set()
        assert await answered(reader) == (201, {"Id": "x"})
        assert await reader.read() == b""


async def test_a_flaw_of_ours_ends_one_call(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    served.answers = [Answer(200, {"not": object()})]
    status, problem = await served.send(post())
    assert (status, problem["type"]) == (500, "urn:hakoiri:problem:guard-failed")
    assert "a call failed" in caplog.text
    assert await served.send(post()) == (201, {"Id": "x"})


@pytest.mark.parametrize("head", [VERSION[:9], VERSION[:-2] + b"X: "])
async def test_a_head_without_end_is_refused_before_its_time_is_up(
    served: Served, head: bytes
) -> None:
    async with asyncio.timeout(20), served.connected() as (reader, writer):
        writer.write(head)
        for _ in range(10):
            writer.write(b"a" * 1000)
            await writer.drain()
            await asyncio.sleep(0)
        assert (await answered(reader))[0] == 400
    assert served.calls == []


async def test_a_request_that_does_not_come_in_is_given_up(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller_connection, "REQUEST_TIMEOUT_S", 0.0)
    for part in (post()[:1], post()[:30], post()[:-1]):
        async with asyncio.timeout(20), served.connected() as (reader, writer):
            writer.write(part.encode())
            assert await reader.read() == b""
    assert served.calls == []


async def test_connections_beyond_the_limit_are_not_taken(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "CONNECTIONS_LIMIT", 2)
    async with asyncio.timeout(20), served.connected() as one, served.connected() as two:
        for reader, writer in (one, two):
            writer.write(post().encode())
            assert (await answered(reader))[0] == 201
        async with served.connected() as (reader, _):
            assert await reader.read() == b""


async def test_a_caller_that_was_not_named_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Served(tmp_path / "s", io.StringIO())
    one = listener.Listener(
        carry_out=made.carry_out,
        client_uids=(4711,),
        records=made.records,
    )
    monkeypatch.setattr(caller_connection, "peer_of", lambda _: (1, 4712))
    server = await listener.start(one, listener.listen_at(made.path, mode=0o600))
    try:
        status, problem = await made.send(post())
    finally:
        await server.close()
    assert (status, problem["type"]) == (403, "urn:hakoiri:problem:caller-not-allowed")
    assert made.calls == []
