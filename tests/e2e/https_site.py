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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from hakoiri.credential_proxy.interception.certificate_authority import CertificateAuthority
from hakoiri.credential_proxy.interception.leaf_cache import LeafCache

HOST = "site.example.test"
TOKEN = "planted-token-of-the-site"


@dataclass
class Site:
    """Where it listens, who vouches for it, and what it refused."""

    port: int
    certificate_pem: bytes
    refused: list[str]


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args: object, refused: list[str], **kwargs: object) -> None:
        self._refused = refused
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._refused.append(self.path)
            self.send_error(401)
        elif self.path == "/who":
            # tells the caller what it was sent, as careless services do
            body = self.headers["Authorization"].encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            super().do_GET()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def https_site(directory: Path) -> Iterator[Site]:
    """Serve a file, a Python package, a Node package and a git repository."""
    content, keys = directory / "content", directory / "keys"
    for made in (content, keys):
        made.mkdir(parents=True)
    (content / "hello.txt").write_text("hello from the site\n")
    _write_wheel(content / "simple" / "boxed-demo")
    _write_node_package(content)
    _write_repository(directory / "source", content / "repo.git")
    authority = CertificateAuthority.load(keys, now=datetime.now(UTC))
    refused: list[str] = []
    handler = partial(_Handler, directory=str(content), refused=refused)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = LeafCache(authority=authority).context_for(HOST)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield Site(server.server_port, authority.certificate_pem, refused)
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


def trusting_file(site: Site, directory: Path) -> Path:
    """Write the authority's certificate where the proxy's user can read it."""
    directory.chmod(0o755)
    path = directory / "site.pem"
    path.write_bytes(site.certificate_pem)
    path.chmod(0o644)
    ssl.create_default_context(cafile=str(path))
    return path
