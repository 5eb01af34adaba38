"""Git over HTTP as servers speak it: git's own `http-backend` behind a small handler."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

AUTHOR = ("-c", "user.name=t", "-c", "user.email=t@example.test", "-c", "commit.gpgsign=false")


@dataclass
class GitRoot:
    """Where the repositories lie, which login is demanded, and what was seen.

    While `stalls` is not set, a pack that is being sent waits in its middle; `stalled` tells of it.
    """

    directory: Path
    authorization: str | None = None
    seen: list[str] = field(default_factory=list)
    stalls: threading.Event = field(default_factory=threading.Event)
    stalled: threading.Event = field(default_factory=threading.Event)
    moved: dict[str, str] = field(default_factory=dict)
    """Where requests below a path are sent instead."""

    def __post_init__(self) -> None:
        self.stalls.set()


class GitHandler(BaseHTTPRequestHandler):
    """One request as CGI (RFC 3875), as git-http-backend(1) wants it."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *args: object, root: GitRoot) -> None:
        self._root = root
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self._body()
        path, _, query = urlunsplit(("", "", *urlsplit(self.path)[2:])).partition("?")
        self._root.seen.append(f"{self.command} {path}")
        moved = next((to for at, to in self._root.moved.items() if path.startswith(at)), None)
        given = self.headers["Authorization"]
        if moved is not None:
            self._answer(302, [("Location", moved + self.path.partition(".git")[2])], b"")
        elif self._root.authorization is not None and given != self._root.authorization:
            self._answer(401, [("WWW-Authenticate", 'Basic realm="git"')], b"")
        else:
            self._answer(*self._backend(path, query, body))

    def _backend(
        self, path: str, query: str, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        headers = self.headers
        given = {
            "GIT_PROJECT_ROOT": str(self._root.directory),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": headers.get("Git-Protocol", ""),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": headers.get("Content-Encoding", ""),
            "PATH": "/usr/bin:/bin",
            "GIT_CONFIG_COUNT": "1",  # the repositories may be another user's
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=given, check=False, capture_output=True
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = next((int(value.split()[0]) for name, value in lines if name == "Status"), 200)
        return status, [(name, value) for name, value in lines if name != "Status"], content

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        half = len(content) // 2
        self.wfile.write(content[:half])
        if not self._root.stalls.is_set() and b"PACK" in content:
            self.wfile.flush()
            self._root.stalled.set()
            self._root.stalls.wait(60)
        self.wfile.write(content[half:])

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def plain_git_site(root: GitRoot) -> Iterator[int]:
    """Serve the repositories over plain HTTP on loopback, as any host's proxy; yield the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(GitHandler, root=root))
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield server.server_port
    finally:
        root.stalls.set()
        server.shutdown()
        server.server_close()
        serving.join()


def make_repository(root: Path, name: str = "site.git") -> dict[str, str]:
    """Make a repository with all kinds of entries; return its commits by branch or tag.

    `main` has two commits and a submodule that nobody may fetch, `v1` is the first of them, `dev`
    is beside them.
    """
    source = root / f"{name}.source"
    source.mkdir(parents=True)
    git("init", "--quiet", "--initial-branch=main", directory=source)
    (source / "README").write_text("first\n")
    (source / "bin").mkdir()
    (source / "bin" / "run").write_text("#!/bin/sh\n")
    (source / "bin" / "run").chmod(0o755)
    (source / "link").symlink_to("../../../../etc/passwd")
    git("add", ".", directory=source)
    git("commit", "--quiet", "-m", "first", directory=source)
    git("tag", "v1", directory=source)
    git("branch", "dev", directory=source)
    commits = {"v1": git("rev-parse", "HEAD", directory=source)}
    (source / "README").write_text("second\n")
    (source / ".gitmodules").write_text('[submodule "sub"]\n\tpath = sub\n\turl = ../never.git\n')
    git("add", ".", directory=source)
    link = f"160000,{commits['v1']},sub"
    git("update-index", "--add", "--cacheinfo", link, directory=source)
    git("commit", "--quiet", "-m", "second", directory=source)
    commits["main"] = git("rev-parse", "HEAD", directory=source)
    git("checkout", "--quiet", "dev", directory=source)
    (source / "dev").write_text("dev\n")
    git("add", "dev", directory=source)
    git("commit", "--quiet", "-m", "dev", directory=source)
    commits["dev"] = git("rev-parse", "HEAD", directory=source)
    git("checkout", "--quiet", "main", directory=source)
    git("clone", "--quiet", "--bare", str(source), str(root / name), directory=root)
    return commits


def git(*arguments: str, directory: Path) -> str:
    """Run git as a user would, without that user's settings; return what it says."""
    done = subprocess.run(
        ["git", *AUTHOR, *arguments],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": "/dev/null"},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()
