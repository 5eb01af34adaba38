"""A stop while clients are connected: each stream ends in order, and the log tells of no fault."""

import json
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e.running import hakoiri
from tests.e2e.scripts import RUN
from tests.engine import TestEngine

pytestmark = [pytest.mark.engine, pytest.mark.root]

STREAMS = 3
END = b"\r\n0\r\n\r\n"
"""The last chunk (RFC 9112, 7.1): the answer is whole."""


def asked(port: int, path: str, body: dict[str, object] | None = None) -> socket.socket:
    """Ask for events; return the connection once the first of the answer is there."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    content = json.dumps(body).encode() if body is not None else b""
    head = [
        f"{'GET' if body is None else 'POST'} {path} HTTP/1.1",
        "Host: localhost",
        "Accept: text/event-stream",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
    ]
    connection.sendall("\r\n".join([*head, "", ""]).encode() + content)
    assert connection.recv(1, socket.MSG_PEEK)
    return connection


def rest_of(connection: socket.socket) -> bytes:
    """Read to the end, which must not be a reset."""
    rest = b""
    while piece := connection.recv(65536):
        rest += piece
    return rest


def test_a_stop_ends_open_streams_in_order_and_is_no_fault(
    engine: TestEngine, image: str, tmp_path: Path
) -> None:
    with (
        hakoiri(
            tmp_path,
            docker_host=engine.docker_host,
            script=RUN,
            settings={"HAKOIRI_CONTAINER__IMAGE": image},
        ) as running,
        ExitStack() as open_now,
    ):
        port, conversation = running.server.port, running.conversation()
        place = f"/v1/conversations/{conversation}"
        running.turn(conversation, "hello")
        watching = [
            open_now.enter_context(asked(port, f"{place}/events?after=0")) for _ in range(STREAMS)
        ]
        command = open_now.enter_context(
            asked(port, f"{place}/workspace/exec", {"argv": ["sh", "-c", "echo on; sleep 300"]})
        )
        assert running.server.stop() == 0
        for connection in watching:
            told = rest_of(connection)
            assert b"event: result" in told
            assert told.endswith(b": the server stops; reconnect with Last-Event-ID\n\n" + END)
        told = rest_of(command)
        assert b'"code": "server-stopping"' in told
        assert told.endswith(END)
    log = running.server.log.read_text()
    for fault in ("Traceback", "Exception in ASGI", "Cancel "):
        assert fault not in log
