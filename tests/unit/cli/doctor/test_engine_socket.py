import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hakoiri.cli.doctor.engine_socket import ANSWER_LIMIT_BYTES, read_info


@contextmanager
def engine(path: Path, answer: bytes) -> Iterator[list[bytes]]:
    """One that answers one request so."""
    asked: list[bytes] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            asked.append(connection.recv(4096))
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield asked
    finally:
        thread.join(10)
        listener.close()


def answer_of(body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def test_an_engine_is_asked_how_it_is(tmp_path: Path) -> None:
    with engine(tmp_path / "s", answer_of(b'{"ServerVersion": "1"}')) as asked:
        assert read_info(tmp_path / "s", timeout_s=10) == '{"ServerVersion": "1"}'
    assert asked[0].startswith(b"GET /info HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        answer_of(b"", "403 Forbidden"),
        b"planted\r\n\r\n",
        answer_of(b"x" * (ANSWER_LIMIT_BYTES + 1)),
    ],
    ids=["refused", "no HTTP", "too long"],
)
def test_what_is_no_such_answer_is_refused(tmp_path: Path, answer: bytes) -> None:
    with engine(tmp_path / "s", answer), pytest.raises(OSError, match=str(tmp_path)):
        read_info(tmp_path / "s", timeout_s=10)


def test_nobody_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_info(tmp_path / "s", timeout_s=10)
