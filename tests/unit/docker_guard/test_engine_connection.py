"""What comes over the engine's socket, piece by piece, and what is not taken for an answer."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hakoiri.docker_guard import engine_client
from hakoiri.docker_guard.engine_client import EngineAnswer, EngineClient
from hakoiri.docker_guard.engine_connection import BrokenOffError, EngineConnection
from hakoiri.docker_guard.refusal import CallRefusedError

pytestmark = pytest.mark.anyio

CREATED = b'HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\n{"Id":"x"}'
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\n[1,2\r\n3\r\n,3]\r\n0\r\nA: b\r\n\r\n"
)
AFTER_AN_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" + CREATED
NOTHING = b"HTTP/1.1 204 No Content\r\n\r\n"
UNTIL_THE_END = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[1]"
END = b""
"""In a script: the engine ends the connection."""


class Script:
    """An engine that answers each request with the next of its lines, whatever was asked."""

    def __init__(self, answers: Sequence[bytes]) -> None:
        self._answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.asked_twice = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self._answers and (head := await _head(reader)):
                self.requests.append(head)
                if len(self.requests) == 2:
                    self.asked_twice.set()
                answer = self._answers.pop(0)
                writer.write(answer)
                if answer in (END, UNTIL_THE_END):
                    break
            else:
                await reader.read()
        finally:
            writer.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


@asynccontextmanager
async def engine(path: Path, *answers: bytes) -> AsyncIterator[tuple[EngineClient, Script]]:
    script = Script(answers)
    server = await asyncio.start_unix_server(script.serve, path)
    async with server, EngineClient(f"unix://{path}") as client:
        yield client, script
    for _ in range(3):  # what was given up is closed by the loop
        await asyncio.sleep(0)


class Wire(asyncio.Transport):
    """Takes what is written; ends when it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def abort(self) -> None:
        self.is_ended = True


async def asked(connection: EngineConnection) -> "asyncio.Task[tuple[int, bytes]]":
    asking = connection.ask(b"GET / HTTP/1.1\r\n\r\n")
    task = asyncio.create_task(asking)  # noqa: TID251 - each test awaits it
    await asyncio.sleep(0)
    return task


@pytest.mark.parametrize("answer", [CREATED, CHUNKED, AFTER_AN_INTERIM, NOTHING])
async def test_an_answer_is_the_same_wherever_it_is_cut(answer: bytes) -> None:
    expected = {CHUNKED: (200, b"[1,2,3]"), NOTHING: (204, b"")}.get(answer, (201, b'{"Id":"x"}'))
    for cut in range(len(answer) + 1):
        connection = EngineConnection(limit_bytes=1000)
        connection.connection_made(Wire())
        for _ in range(2):  # and so for the next one over the same connection
            task = await asked(connection)
            for piece in (answer[:cut], answer[cut:]):
                if piece:
                    assert not task.done(), f"cut at {cut}"
                    connection.data_received(piece)
            assert await task == expected, f"cut at {cut}"
            assert connection.is_reusable


@pytest.mark.parametrize("answer", [CREATED, CHUNKED, AFTER_AN_INTERIM, NOTHING])
async def test_an_answer_that_breaks_off_is_none_wherever_it_does(answer: bytes) -> None:
    for cut in range(len(answer)):
        connection = EngineConnection(limit_bytes=1000)
        connection.connection_made(Wire())
        task = await asked(connection)
        if cut:
            connection.data_received(answer[:cut])
        connection.connection_lost(None)
        with pytest.raises(BrokenOffError, match="broke off"):
            await task
        assert not connection.is_reusable


async def test_an_answer_without_a_length_ends_with_the_connection_and_not_by_an_error() -> None:
    for error in (None, ConnectionResetError()):
        connection = EngineConnection(limit_bytes=1000)
        connection.connection_made(Wire())
        task = await asked(connection)
        connection.data_received(UNTIL_THE_END)
        assert not task.done()
        connection.connection_lost(error)
        if error is None:
            assert await task == (200, b"[1]")
        else:
            with pytest.raises(BrokenOffError):
                await task


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nraw",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2000,
    ],
)
async def test_what_is_not_an_answer_ends_the_connection(answer: bytes) -> None:
    connection, wire = EngineConnection(limit_bytes=1000), Wire()
    connection.connection_made(wire)
    task = await asked(connection)
    connection.data_received(answer)
    with pytest.raises(BrokenOffError):
        await task
    assert wire.is_ended
    assert not connection.is_reusable


@pytest.mark.parametrize("is_at_once", [True, False])
async def test_more_than_was_asked_for_ends_the_connection(*, is_at_once: bool) -> None:
    connection, wire = EngineConnection(limit_bytes=1000), Wire()
    connection.connection_made(wire)
    task = await asked(connection)
    connection.data_received(CREATED + NOTHING if is_at_once else CREATED)
    assert await task == (201, b'{"Id":"x"}')
    if not is_at_once:
        connection.data_received(NOTHING)
    assert wire.is_ended
    assert not connection.is_reusable


async def test_what_comes_before_anything_was_asked_ends_the_connection() -> None:
    connection, wire = EngineConnection(limit_bytes=1000), Wire()
    connection.connection_made(wire)
    connection.data_received(CREATED)
    assert wire.is_ended
    assert not connection.is_reusable


async def test_the_limit_is_for_each_answer() -> None:
    connection = EngineConnection(limit_bytes=len(CREATED))
    connection.connection_made(Wire())
    for _ in range(3):
        task = await asked(connection)
        connection.data_received(CREATED)
        assert (await task)[0] == 201


async def test_calls_go_over_one_connection_and_an_ended_one_is_replaced(tmp_path: Path) -> None:
    async with engine(tmp_path / "s", CREATED, CHUNKED, UNTIL_THE_END, NOTHING) as (client, script):
        assert await client.call("POST", "/a") == EngineAnswer(201, {"Id": "x"})
        assert await client.call("GET", "/b") == EngineAnswer(200, [1, 2, 3])
        assert await client.call("GET", "/c") == EngineAnswer(200, [1])
        assert script.connections == 1
        assert await client.call("GET", "/d") == EngineAnswer(204, None)
        assert script.connections == 2


async def test_what_may_be_repeated_is_when_an_old_connection_ended_unseen(tmp_path: Path) -> None:
    async with engine(tmp_path / "s", CREATED, END, CHUNKED) as (client, script):
        await client.call("POST", "/a")
        assert await client.call("GET", "/b") == EngineAnswer(200, [1, 2, 3])
        assert [head.split()[1] for head in script.requests] == [b"/a", b"/b", b"/b"]


async def test_what_may_not_be_repeated_is_sent_once(tmp_path: Path) -> None:
    async with engine(tmp_path / "s", CREATED, END, CREATED) as (client, script):
        await client.call("POST", "/a")
        with pytest.raises(CallRefusedError, match="broke off") as refused:
            await client.call("POST", "/b")
        assert refused.value.status == 503
        assert len(script.requests) == 2


async def test_what_breaks_off_on_a_new_connection_is_not_repeated(tmp_path: Path) -> None:
    async with engine(tmp_path / "s", END, CHUNKED) as (client, script):
        with pytest.raises(CallRefusedError, match="broke off"):
            await client.call("GET", "/a")
        assert len(script.requests) == 1


async def test_the_answer_to_a_call_that_was_given_up_goes_to_no_other(tmp_path: Path) -> None:
    async with engine(tmp_path / "s", CREATED, b"HTTP/1.1 200", CHUNKED) as (client, script):
        await client.call("POST", "/a")
        async with asyncio.TaskGroup() as together:
            given_up = together.create_task(client.call("GET", "/b"))
            await script.asked_twice.wait()
            given_up.cancel()
        assert await client.call("GET", "/c") == EngineAnswer(200, [1, 2, 3])
        assert script.connections == 2


async def test_an_engine_that_says_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine(tmp_path / "s", CREATED) as (client, _):
        await client.call("POST", "/a")
        monkeypatch.setattr(engine_client, "CALL_TIMEOUT_S", 0.0)
        with pytest.raises(CallRefusedError, match="TimeoutError") as refused:
            await client.call("GET", "/a")
        assert refused.value.code == "engine-away"


async def test_no_more_calls_than_the_limit_are_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_client, "CALLS_LIMIT", 2)
    async with engine(tmp_path / "s", *[NOTHING] * 20) as (client, script):
        async with asyncio.TaskGroup() as together:
            for _ in range(20):
                together.create_task(client.call("GET", "/a"))
        assert len(script.requests) == 20
        assert script.connections <= 2


async def test_a_name_can_add_nothing_to_a_request(tmp_path: Path) -> None:
    async with engine(tmp_path / "s", NOTHING) as (client, script):
        hostile = "x HTTP/1.1\r\nX: y\r\n\r\n?é"
        await client.call("GET", f"/images/{hostile}/json", query={"filters": hostile})
        [request] = script.requests
        assert request.splitlines()[0].count(b" ") == 2
        assert len(request.splitlines()) == 5
