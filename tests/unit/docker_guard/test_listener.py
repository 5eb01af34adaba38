"""The socket itself, by bytes: what is no proper request reaches nothing behind it."""

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.unit.docker_guard.bodies import ID

from hakoiri.audit.writer import NoAuditLog
from hakoiri.docker_guard import listener
from hakoiri.docker_guard.call_log import CallLog
from hakoiri.docker_guard.call_records import CallRecords
from hakoiri.docker_guard.calls import Call, CreateContainer
from hakoiri.docker_guard.service import Answer

pytestmark = pytest.mark.anyio

CREATE = f"/v1.41/containers/create?name=hakoiri-{ID}"
JSON = "Content-Type: application/json\r\n"


@dataclass
class Served:
    """A guard's socket with nothing behind it."""

    path: Path
    log: io.StringIO
    calls: list[tuple[Call, bytes]] = field(default_factory=list)

    async def carry_out(self, call: Call, body: bytes) -> Answer:
        self.calls.append((call, body))
        return Answer(201, {"Id": "x"})

    async def send(self, request: str | bytes) -> tuple[int, dict[str, object]]:
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        writer.write(request.encode() if isinstance(request, str) else request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.splitlines()
            if line.lower().startswith(b"content-length")
        )
        content = await reader.readexactly(length)
        writer.close()
        await writer.wait_closed()
        document: dict[str, object] = json.loads(content) if content else {}
        return int(head.split()[1]), document

    @property
    def records(self) -> CallRecords:
        return CallRecords(log=CallLog(self.log), audit=NoAuditLog())

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    made = Served(tmp_path / "s", io.StringIO())
    one = listener.Listener(
        carry_out=made.carry_out,
        client_uids=(os.geteuid(),),
        records=made.records,
    )
    runner = await listener.start(one, listener.listen_at(made.path, mode=0o600))
    yield made
    await runner.cleanup()


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
    await served.send(post() + "GET /v1.41/version HTTP/1.1\r\nHost: g\r\n\r\n")
    await asyncio.sleep(0)
    assert [line["event"] for line in served.lines()][:1] == ["engine_call_allowed"]
    assert len(served.calls) == 1


async def test_a_caller_that_was_not_named_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Served(tmp_path / "s", io.StringIO())
    one = listener.Listener(
        carry_out=made.carry_out,
        client_uids=(4711,),
        records=made.records,
    )
    monkeypatch.setattr(listener, "_peer", lambda _: (1, 4712))
    runner = await listener.start(one, listener.listen_at(made.path, mode=0o600))
    try:
        status, problem = await made.send(post())
    finally:
        await runner.cleanup()
    assert (status, problem["type"]) == (403, "urn:hakoiri:problem:caller-not-allowed")
    assert made.calls == []
