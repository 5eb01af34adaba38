"""`hakoiri files import --git` against a small server that tells events."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner

from hakoiri.cli import git_import
from hakoiri.cli.main import app

URL = "https://git.example.test/acme/site.git"
COMMIT = "ab" * 20
DONE = ("imported", {"recovery_point": "rp-1", "path": "site", "commit": COMMIT})
HALF = ("progress", {"stage": "receiving", "percent": 50})


class Server(ThreadingHTTPServer):
    """Tells its events to whoever posts, and keeps what was posted."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.events: list[tuple[str, dict[str, Any]]] = [HALF, DONE]
        self.asked: list[tuple[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, json.loads(body)))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for number, (event, data) in enumerate(self.server.events, 1):
            block = f"id: {number}\nevent: {event}\ndata: {json.dumps(data)}\n\n"
            self.wfile.write(block.encode())

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def run(server: Server, *arguments: str) -> Any:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    return CliRunner().invoke(app, ["files", "import", "--url", url, *arguments])


def test_a_repository_is_asked_for_and_its_commit_told(server: Server) -> None:
    more = ("--ref", "v1", "--depth", "2", "--to", "site")
    done = run(server, "c-1", "--git", URL, *more)
    assert (done.exit_code, done.output) == (0, f"{COMMIT}  site\n")
    body = {"git": {"url": URL, "ref": "v1", "depth": 2, "path": "site"}}
    assert server.asked == [("/v1/conversations/c-1/workspace/import", body)]
    told = run(server, "w-1", "--git", URL, "-o", "json")
    assert json.loads(told.output) == DONE[1]
    assert server.asked[1] == ("/v1/workspaces/w-1/import", {"git": {"url": URL}})


def test_an_error_is_one_harmless_line(server: Server) -> None:
    server.events = [HALF, ("error", {"code": "git-import-failed", "text": "no \x1b[31m"})]
    done = run(server, "w-1", "--git", URL)
    assert (done.exit_code, done.output) == (1, "hakoiri: no \\x1b[31m\n")


def test_a_stream_that_breaks_off_is_an_error(server: Server) -> None:
    server.events = [HALF]
    done = run(server, "w-1", "--git", URL)
    assert (done.exit_code, "nothing was imported" in done.output) == (1, True)


def test_an_interrupt_ends_it(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(git_import, "_follow", interrupted)
    assert run(server, "w-1", "--git", URL).exit_code == 130


@pytest.mark.parametrize(
    "words", [(), ("a.zip", "--git", URL), ("a.zip", "--ref", "v1"), ("a.zip", "--to", "x")]
)
def test_an_archive_or_a_repository_and_what_belongs_to_it(
    server: Server, words: tuple[str, ...]
) -> None:
    done = run(server, "w-1", *words)
    assert (done.exit_code, "--git" in done.output) == (2, True)
    assert server.asked == []
