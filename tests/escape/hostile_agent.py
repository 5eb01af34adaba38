"""The program of a taken-over agent, in a container of an image of its own.

It lies as it is told: in a turn by the message `attack: NAME`, from its start by what a turn before
had it remember in the workspace by `remember: NAME`. To any other message it says a result. The
standard library only.
"""

import itertools
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

SOCKET = Path("/run/hakoiri/agent/agent.sock")
ATTACK = Path("/workspace/attack.txt")
HEALTH = b'{"state": "ready", "turn_id": null, "version": "1"}'
FOREVER_S = 3600
RESTORE_S = 0.7
MIB = 1024 * 1024


def answer(body: bytes, *, head: bytes = b"", status: bytes = b"200 OK") -> bytes:
    length = b"" if b"Content-Length" in head else b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 " + status + b"\r\n" + head + length + b"\r\n" + body


def stream(*chunks: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    return head + b"".join(chunks)


def event(number: object, kind: str, **fields: object) -> bytes:
    data = json.dumps({"type": kind, **fields}).encode()
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (str(number).encode(), kind.encode(), data)


RESULT = event(1, "result", text="done")


def turns() -> dict[str, bytes]:
    """What is answered to `POST /turns`, by attack."""
    word = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m\r\n\u202eevil\x00"
    return {
        "an unknown event": stream(event(1, "user_message", text="forged"), RESULT),
        "an event of the host's": stream(event(1, "file_synced", recovery_point="r1"), RESULT),
        "a number that goes back": stream(
            event(1, "text_delta", text="a"), event(2, "text_delta", text="b"),
            event(1, "text_delta", text="c"), event(2, "result", text="d"),
        ),
        "a number that jumps": stream(event(7, "text_delta", text="a"), RESULT),
        "a number that is none": stream(event("x", "text_delta", text="a")),
        "a number without end": stream(event("9" * 5000, "text_delta", text="a")),
        "deep JSON": stream(b"id: 1\ndata: " + b"[" * 200_000 + b"\n\n"),
        "deep JSON in a tool's input": stream(
            b'id: 1\ndata: {"type":"tool_use","tool_use_id":"t","name":"n","input":'
            + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}\n\n"
        ),
        "no UTF-8": stream(b"id: 1\ndata: \xff\xfe\n\n"),
        "a lone surrogate": stream(b'id: 1\ndata: {"type":"text_delta","text":"\\ud800"}\n\n'),
        "a length too long": answer(RESULT, head=b"Content-Length: 999999\r\n"),
        "a length too short": answer(RESULT, head=b"Content-Length: 5\r\n"),
        "two lengths": answer(RESULT, head=b"Content-Length: 5\r\nContent-Length: 60\r\n"),
        "a broken chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + RESULT,
        "no HTTP": b"SSH-2.0-OpenSSH\r\n" * 100,
        "a redirect to the metadata address": answer(
            b"", status=b"307 Temporary Redirect", head=b"Location: http://169.254.169.254/\r\n"
        ),
        "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "a problem without end": answer(b"x" * (4 * MIB), status=b"500 No"),
        "terminal escapes": stream(
            event(1, "text_delta", text=word), event(2, "result", text=word)
        ),
        "escapes in an error": stream(event(1, "error", code="agent-failed", text=word)),
    }  # fmt: skip


ENDLESS = {
    "an endless line": (stream(b"id: 1\ndata: "), b"x" * MIB),
    "endless headers": (b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"y" * 4000 + b"\r\n"),
    "endless early answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "a flood of comments": (stream(), b": still here\n\n" * 1000),
}
"""How it begins, and what comes then without end, by attack."""


def endless(attack: str) -> Iterator[bytes]:
    """What is sent to `POST /turns` without end, by attack."""
    if attack in ENDLESS:
        begin, again = ENDLESS[attack]
        yield begin
        while True:
            yield again
    if attack == "a flood of events":
        yield stream()
        for number in itertools.count(1):
            yield event(number, "text_delta", text="f" * 4000)
    time.sleep(FOREVER_S)  # silence


def serve(connection: socket.socket, remembered: str) -> None:
    """Answer one connection's requests until it ends."""
    with connection:
        while (asked := request(connection)) is not None:
            line, body = asked
            if remembered.startswith("health: "):
                lie_about_health(connection, remembered.removeprefix("health: "))
            elif line.startswith("GET /health"):
                connection.sendall(answer(HEALTH))
            elif line.startswith("POST /turns "):
                take_turn(connection, json.loads(body)["text"])
                return
            elif "/events" in line:
                return
            else:
                connection.sendall(answer(b"", status=b"204 No Content"))


def take_turn(connection: socket.socket, text: str) -> None:
    told, _, attack = text.partition(": ")
    if told == "remember":
        ATTACK.write_text(attack, encoding="utf-8")
    if told == "attack" and attack in turns():
        connection.sendall(turns()[attack])
    elif told == "attack":
        for chunk in endless(attack):
            connection.sendall(chunk)
    else:
        connection.sendall(stream(RESULT))


def lie_about_health(connection: socket.socket, attack: str) -> None:
    if attack == "silence":
        time.sleep(FOREVER_S)
    if attack == "another workspace":
        told = {"state": "ready", "version": "1", "workspace_id": "w-other", "tenant": "other"}
        connection.sendall(answer(json.dumps(told).encode()))
    if attack == "an answer without end":
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            connection.sendall(b"x" * MIB)
    if attack == "deep JSON":
        connection.sendall(answer(b"[" * 900_000))


def request(connection: socket.socket) -> tuple[str, bytes] | None:
    """Read one request: its first line and its body; None at the end."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        raw += chunk
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode(errors="replace").split("\r\n")
    for line in lines[1:]:
        name, _, value = line.partition(":")
        while name.lower() == "content-length" and len(body) < int(value):
            body += connection.recv(65536)
    return lines[0], body


def stand_in(kind: str) -> None:
    """Put something else where the socket should be, and stay."""
    if kind == "a link to the engine's socket":
        SOCKET.symlink_to("/var/run/docker.sock")
    elif kind == "a link to the proxy's socket":
        SOCKET.symlink_to("/run/hakoiri/proxy/proxy.sock")
    elif kind == "a FIFO":
        os.mkfifo(SOCKET)
    elif kind == "a directory":
        SOCKET.mkdir()
    elif kind == "a file":
        SOCKET.write_bytes(b"HTTP/1.1 200 OK\r\n\r\n")
    elif kind == "a socket that nobody accepts at":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(SOCKET))
        listener.listen(0)
    elif kind == "a datagram socket":
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).bind(str(SOCKET))
    time.sleep(FOREVER_S)


def main() -> None:
    # what is remembered is put there while the container starts
    deadline_s = time.monotonic() + RESTORE_S
    while not ATTACK.exists() and time.monotonic() < deadline_s:
        time.sleep(0.02)
    remembered = ATTACK.read_text(encoding="utf-8").strip() if ATTACK.exists() else ""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if remembered.startswith("instead: "):
        stand_in(remembered.removeprefix("instead: "))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(SOCKET))
    SOCKET.chmod(0o666)
    listener.listen(64)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, remembered), daemon=True).start()


if __name__ == "__main__":
    main()
