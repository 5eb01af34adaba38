"""An HTTPS server that real clients fetch from, and that wants a token they do not have."""

import base64
import hashlib
import io
import json
import ssl
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.e2e.tls_server import tls_server
from tests.e2e.wheels import AWS_SDK, write_index

HOST = "site.example.test"
TOKEN = "planted-token-of-the-site"


INDEX_HOST = "index.example.test"


@dataclass
class Site:
    """Where it listens, who vouches for it, and what it refused or was sent."""

    port: int
    certificate_pem: bytes
    refused: list[str]
    posted: list[str]


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(
        self, *args: object, token: str | None, refused: list[str], posted: list[str], **kw: object
    ) -> None:
        self._token = token
        self._refused = refused
        self._posted = posted
        super().__init__(*args, **kw)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        given = self.headers["Authorization"]
        if self._token is not None and given != f"Bearer {self._token}":
            self._refused.append(self.path)
            self.send_error(401)
        elif self.path == "/who":
            # tells the caller what it was sent, as careless services do
            self._answer((given or "").encode())
        else:
            super().do_GET()

    def do_POST(self) -> None:
        self._posted.append(self.path)
        self._answer(b"taken")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def https_site(directory: Path, *, host: str = HOST, token: str | None = TOKEN) -> Iterator[Site]:
    """Serve a file, packages and a git repository; without a token, to everybody."""
    content = directory / "content"
    content.mkdir(parents=True)
    (content / "hello.txt").write_text("hello from the site\n")
    _write_wheel(content / "simple" / "boxed-demo")
    write_index(content / "simple", (*AWS_SDK, "websockets"))
    _write_node_package(content)
    _write_repository(directory / "source", content / "repo.git")
    refused: list[str] = []
    posted: list[str] = []
    handler = partial(_Handler, directory=str(content), token=token, refused=refused, posted=posted)
    with tls_server(handler, host=host, keys=directory / "keys") as server:
        yield Site(server.port, server.certificate_pem, refused, posted)


@contextmanager
def plain_site(directory: Path) -> Iterator[int]:
    """Serve the content of a site that was made in `directory` over plain HTTP; yield the port."""
    handler = partial(
        _Handler, directory=str(directory / "content"), token=None, refused=[], posted=[]
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def _write_wheel(directory: Path) -> None:
    directory.mkdir(parents=True)
    name, info = "boxed_demo-1.0-py3-none-any.whl", "boxed_demo-1.0.dist-info"
    files = {
        "boxed_demo.py": 'print("hello from pip")\n',
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: boxed-demo\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(directory / name, "w") as wheel:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(path, text)
    (directory / "index.html").write_text(f'<a href="{name}">{name}</a>')


def _write_node_package(content: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path, text in {
            "package/package.json": json.dumps({"name": "boxed-demo", "version": "1.0.0"}),
            "package/index.js": 'console.log("hello from npm");\n',
        }.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    (content / "boxed-demo.tgz").write_bytes(packed.getvalue())
    digest = base64.b64encode(hashlib.sha512(packed.getvalue()).digest()).decode()
    version = {
        "name": "boxed-demo",
        "version": "1.0.0",
        "dist": {"tarball": f"https://{HOST}/boxed-demo.tgz", "integrity": f"sha512-{digest}"},
    }
    document = {
        "name": "boxed-demo",
        "dist-tags": {"latest": "1.0.0"},
        "versions": {"1.0.0": version},
    }
    (content / "boxed-demo").write_text(json.dumps(document))


def _write_repository(source: Path, bare: Path) -> None:
    def git(*arguments: str, directory: Path) -> None:
        author = ("-c", "user.name=t", "-c", "user.email=t@example.test")
        subprocess.run(["git", *author, *arguments], cwd=directory, check=True, capture_output=True)

    source.mkdir()
    git("init", "--quiet", directory=source)
    (source / "README").write_text("hello from git\n")
    git("add", "README", directory=source)
    git("commit", "--quiet", "-m", "first", directory=source)
    git("clone", "--quiet", "--bare", str(source), str(bare), directory=source)
    git("update-server-info", directory=bare)


def trusting_file(certificates: Iterable[bytes], directory: Path) -> Path:
    """Write the authorities' certificates where the proxy's user can read them."""
    directory.chmod(0o755)
    path = directory / "sites.pem"
    path.write_bytes(b"".join(certificates))
    path.chmod(0o644)
    ssl.create_default_context(cafile=str(path))
    return path
