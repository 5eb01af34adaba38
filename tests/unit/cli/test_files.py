"""The commands against a small server that keeps files by path."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hakoiri.cli.main import app

BASE = "/v1/workspaces/w-1/files"


class Server(ThreadingHTTPServer):
    """Keeps files by the path of their URL; cuts answers short when told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cuts = False
        self.told = b'{"recovery_point": null}'


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self.path == BASE:
            listed = [
                {"path": "a", "kind": "directory", "size_bytes": 0},
                {"path": "a/b", "kind": "file", "size_bytes": 3},
            ]
            return self._answer(200, json.dumps({"files": listed}).encode())
        content = self.server.files.get(self.path)
        if content is None:
            return self._answer(404, b"{}")
        return self._answer(200, content, cut=self.server.cuts)

    def do_PUT(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            content = b""
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
        else:
            content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.files[self.path] = content
        return self._answer(200, self.server.told)

    def do_DELETE(self) -> None:
        del self.server.files[self.path]
        return self._answer(200, b"{}")

    def _answer(self, status: int, content: bytes, *, cut: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Hakoiri-Left-Out", "3")
        self.end_headers()
        self.wfile.write(content[:1] if cut else content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def run(server: Server, *arguments: str, given: bytes | None = None) -> Any:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    words = ["files", arguments[0], "--url", url, *arguments[1:]]
    return CliRunner().invoke(app, words, input=given)


def test_files_are_listed(server: Server) -> None:
    told = run(server, "list", "w-1")
    assert told.exit_code == 0
    assert told.output.splitlines() == ["           0  a/", "           3  a/b"]
    assert json.loads(run(server, "list", "w-1", "--json").output)["files"][1]["path"] == "a/b"


def test_a_file_goes_there_and_back(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = bytes(range(256)) * 1000
    (tmp_path / "100%").write_bytes(content)
    assert run(server, "put", "w-1", "100%").exit_code == 0
    assert server.files == {f"{BASE}/100%2525": content}
    assert run(server, "get", "w-1", "100%25", "back").exit_code == 0
    assert (tmp_path / "back").read_bytes() == content
    assert run(server, "put", "w-1", "100%", "a b/ü?").exit_code == 0
    assert f"{BASE}/a%20b/%C3%BC%3F" in server.files
    assert run(server, "rm", "w-1", "100%25").exit_code == 0
    assert f"{BASE}/100%2525" not in server.files


def test_standard_streams_are_files_too(server: Server) -> None:
    assert run(server, "put", "w-1", "-", "x", given=b"\0\xff").exit_code == 0
    assert server.files == {f"{BASE}/x": b"\0\xff"}
    assert run(server, "get", "w-1", "x", "-").stdout_bytes == b"\0\xff"
    assert run(server, "put", "w-1", "-", given=b"x").exit_code == 2


def test_half_a_file_is_an_error(server: Server, tmp_path: Path) -> None:
    server.files[f"{BASE}/x"], server.cuts = b"abc", True
    told = run(server, "get", "w-1", "x", str(tmp_path / "x"))
    assert told.exit_code == 1
    assert "1 of 3 bytes" in told.output or "broke off" in told.output


def test_what_is_not_there_is_an_error(server: Server, tmp_path: Path) -> None:
    assert run(server, "get", "w-1", "missing", str(tmp_path / "x")).exit_code == 1
    told = run(server, "put", "w-1", str(tmp_path / "missing"))
    assert (told.exit_code, "No such file" in told.output) == (1, True)


@pytest.mark.parametrize("command", ["list", "get", "put", "rm"])
def test_help_has_examples(command: str) -> None:
    told = CliRunner().invoke(app, ["files", command, "--help"])
    assert told.exit_code == 0
    assert "Example" in told.output


def test_a_folder_is_downloaded_as_a_zip_and_what_is_not_in_it_is_told(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server.files[f"{BASE}/a%20b/src?archive=zip"] = b"PK of a folder"
    server.files[f"{BASE}?archive=zip"] = b"PK of all"
    done = run(server, "download", "--zip", "w-1", "a b/src/")
    assert (done.exit_code, done.output) == (0, "3 symlinks were left out\n")
    assert (tmp_path / "src.zip").read_bytes() == b"PK of a folder"
    assert run(server, "download", "--zip", "w-1").exit_code == 0
    assert (tmp_path / "w-1.zip").read_bytes() == b"PK of all"
    assert run(server, "download", "--zip", "w-1", "", "-").stdout_bytes == b"PK of all"
    assert run(server, "download", "w-1").exit_code == 2
    assert run(server, "download", "--zip", "w-1", "none").exit_code == 1


def test_an_archive_is_sent_and_what_became_of_it_is_told(server: Server, tmp_path: Path) -> None:
    archive = tmp_path / "a b.tar"
    archive.write_bytes(b"bytes of a tar")
    told = {"recovery_point": "rp-1", "files": 2, "file_bytes": 9, "left_out": 3}
    server.told = json.dumps(told | {"left_out_names": ["link: no file"]}).encode()
    done = run(server, "import", "w-1", str(archive), "src/")
    assert done.exit_code == 0, done.output
    assert done.stdout == "2 files, 9 bytes\n"
    assert done.stderr == "left out: link: no file\nleft out: 2 more\n"
    assert server.files[f"{BASE}/src?archive=unpack"] == b"bytes of a tar"
    done = run(server, "import", "w-1", "-", "--json", given=b"piped")
    assert json.loads(done.stdout)["files"] == 2
    assert server.files[f"{BASE}?archive=unpack"] == b"piped"
    assert run(server, "import", "w-1", str(tmp_path / "none")).exit_code == 1
