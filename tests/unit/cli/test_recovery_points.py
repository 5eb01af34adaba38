"""The commands against a small server that answers from a list and notes what it was asked."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hakoiri.cli.main import app

OLD, NEW = "rp-" + "1" * 32, "rp-" + "2" * 32
BASE = "/v1/workspaces/w-1/recovery-points"
COMMANDS = ["recovery-points", "save", "restore", "diff", "fork", "keep", "unkeep", "drop"]


def point(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": name,
        "created_at": "2026-01-02T03:04:05.678Z",
        "reason": "turn-end",
        "turn": 7,
        "event_number": 30,
        "generation": 2,
        "files": 12,
        "file_bytes": 3 * 1024 * 1024,
        "kept": False,
        "newest": False,
        "parent": None,
    } | changes


class Server(ThreadingHTTPServer):
    """`answers` are bodies by method and path; what has none is a missing file."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[tuple[str, str], Any] = {}
        self.asked: list[tuple[str, str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, json.loads(raw) if raw else None))
        status, answer = 200, self.server.answers.get((self.command, self.path))
        if answer is None:
            status = 404
            answer = {
                "type": "urn:hakoiri:problem:no-such-file",
                "title": "No such file",
                "status": 404,
                "detail": "The recovery point has no such file.",
            }
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def run(server: Server, command: str, *arguments: str) -> Result:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    return CliRunner().invoke(app, ["workspace", command, "--url", url, *arguments])


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(command: str) -> None:
    told = CliRunner().invoke(app, ["workspace", command, "--help"])
    assert told.exit_code == 0
    assert "Example" in told.output


def test_the_list_is_a_table_and_data(server: Server) -> None:
    first = point(NEW, newest=True, kept=True, reason="restored")
    old = point(OLD, files=None, file_bytes=None)
    server.answers["GET", f"{BASE}?limit=50"] = {"recovery_points": [first, old], "next": OLD}
    told = run(server, "recovery-points", "w-1")
    assert told.stdout.splitlines() == [
        f"*k {NEW}  2026-01-02 03:04:05Z  turn 7         12 files   3.0 MiB  restored",
        f"   {OLD}  2026-01-02 03:04:05Z  turn 7          ? files         ?  turn-end",
    ]
    assert told.stderr == f"more with --before {OLD}\n"
    data = run(server, "recovery-points", "w-1", "-o", "json")
    assert json.loads(data.stdout)["recovery_points"] == [first, old]


def test_a_restore_says_how_to_undo_it(server: Server) -> None:
    document = {
        "recovery_point": point("rp-3"),
        "undo": NEW,
        "left_out": ["workspace/a\x1b[2J: a FIFO"],
    }
    server.answers["POST", f"{BASE}/{OLD}/restore"] = document
    told = run(server, "restore", "w-1", OLD)
    assert told.stdout == f"restored; undo with: hakoiri workspace restore w-1 {NEW}\n"
    assert "workspace/a\\x1b[2J: a FIFO" in told.stderr, "names are a container's"
    assert json.loads(run(server, "restore", "w-1", OLD, "--json").stdout) == document


def change(path: str, kind: str) -> dict[str, Any]:
    return {"path": path, "change": kind, "before": None, "after": None}


def test_a_diff_is_told_whole(server: Server) -> None:
    counts = {"added": 1, "removed": 1, "changed": 1, "memory_changed": True}
    place = f"{BASE}/{OLD}/diff"
    server.answers["GET", f"{BASE}?limit=1"] = {"recovery_points": [point(NEW)], "next": None}
    server.answers["GET", f"{place}?to={NEW}"] = counts | {
        "changes": [change("a b", "added"), change("b\x9b", "content")],
        "next": "b%9B",
    }
    server.answers["GET", f"{place}?to={NEW}&after=b%259B"] = counts | {
        "changes": [change("c", "removed")],
        "next": None,
    }
    told = run(server, "diff", "w-1", OLD)
    assert told.stdout == "A  a b\nM  b\\x9b\nD  c\n"
    assert told.stderr == "1 added, 1 changed, 1 gone; the agent's memory differs\n"
    data = json.loads(run(server, "diff", "w-1", OLD, NEW, "-o", "json").stdout)
    assert (len(data["changes"]), data["next"]) == (3, None)


def test_the_lines_of_one_file_are_compared(server: Server) -> None:
    server.answers["GET", f"{BASE}/{OLD}/files/src/a%2525.py"] = b"one\ntwo\n"
    server.answers["GET", f"{BASE}/{NEW}/files/src/a%2525.py"] = b"one\n\x1b[31mthree\n"
    told = run(server, "diff", "w-1", OLD, NEW, "--path", "src/a%25.py")
    assert told.stdout.splitlines()[3:] == [" one", "-two", "+\\x1b[31mthree", " "]


def test_a_file_that_is_not_there_has_no_lines(server: Server) -> None:
    server.answers["GET", f"{BASE}/{NEW}/files/a"] = b"new"
    told = run(server, "diff", "w-1", OLD, NEW, "--path", "a")
    assert told.stdout.splitlines()[3:] == ["+new"]


@pytest.mark.parametrize(
    ("content", "why"), [(b"x" * (1024 * 1024 + 1), "has over"), (b"\xff\xfe", "not text")]
)
def test_what_has_no_lines_is_not_compared(server: Server, content: bytes, why: str) -> None:
    server.answers["GET", f"{BASE}/{OLD}/files/a"] = content
    server.answers["GET", f"{BASE}/{NEW}/files/a"] = b"text"
    told = run(server, "diff", "w-1", OLD, NEW, "--path", "a")
    assert (told.exit_code, why in told.stderr) == (1, True)


def test_a_fork_prints_the_new_id(server: Server) -> None:
    made = {"workspace_id": "w-2", "conversation_id": None}
    server.answers["POST", "/v1/workspaces/w-1/fork"] = made
    assert run(server, "fork", "w-1").stdout == "w-2\n"
    place = "/v1/conversations/c-1/workspace/fork"
    server.answers["POST", place] = made | {"conversation_id": "c-2"}
    assert run(server, "fork", "c-1", OLD).stdout == "c-2\n"
    assert server.asked[-1] == ("POST", place, {"recovery_point": OLD})


def test_a_point_is_made_kept_let_go_and_dropped(server: Server) -> None:
    server.answers["POST", BASE] = point(NEW)
    for method in ("PATCH", "DELETE"):
        server.answers[method, f"{BASE}/{OLD}"] = {}
    assert run(server, "save", "w-1").stdout == f"{NEW}\n"
    for command in ("keep", "unkeep", "drop"):
        told = run(server, command, "w-1", OLD)
        assert (told.exit_code, told.output) == (0, "")
    assert server.asked[1:] == [
        ("PATCH", f"{BASE}/{OLD}", {"kept": True}),
        ("PATCH", f"{BASE}/{OLD}", {"kept": False}),
        ("DELETE", f"{BASE}/{OLD}", None),
    ]
