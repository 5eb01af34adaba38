import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from hakoiri.cli.supervisor import answers as module
from hakoiri.cli.supervisor.answers import answers


class Says(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Says) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_page_answers_with_200_and_nothing_else(port: int) -> None:
    assert answers(f"http://127.0.0.1:{port}/health")
    assert not answers(f"http://127.0.0.1:{port}/ready")
    assert answers(f"tcp:127.0.0.1:{port}")


def test_a_socket_answers_while_somebody_listens(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    assert not answers(f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        assert answers(f"unix:{path}")
    assert not answers(f"unix:{path}"), "a socket that was left behind"


def test_a_file_is_there_or_not(tmp_path: Path) -> None:
    assert not answers(f"file:{tmp_path}/key")
    (tmp_path / "key").touch()
    assert answers(f"file:{tmp_path}/key")


def test_nobody_at_a_port_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert not answers(f"tcp:127.0.0.1:{port}")
    assert not answers(f"http://127.0.0.1:{port}/health")


@pytest.mark.parametrize(
    ("where", "exit_code"), [("file:/", 1), ("file:/etc/passwd", 0), ("ftp:x", 2), ("tcp:a:b", 2)]
)
def test_the_exit_code_tells(where: str, exit_code: int) -> None:
    command = [sys.executable, "-m", module.__name__, where]
    assert subprocess.run(command, check=False, capture_output=True).returncode == exit_code


def test_a_look_loads_nothing_of_ours() -> None:
    look = "import sys, hakoiri.cli.supervisor.answers; print('pydantic' in sys.modules)"
    seen = subprocess.run([sys.executable, "-c", look], check=True, capture_output=True, text=True)
    assert seen.stdout == "False\n"
