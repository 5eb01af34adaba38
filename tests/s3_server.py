"""A real S3 server on loopback, and a proxy before it that can be made to fail."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from hakoiri.cli.demo.server_process import free_port

ACCESS_KEY_ID = "AKIDEXAMPLE"
SECRET_ACCESS_KEY = "planted-store-secret"
START_TIMEOUT_S = 60.0
GRPC_PORT_OFFSET = 10_000
FIRST_OUTGOING_PORT = 32_768
"""From here on the kernel gives ports to whoever connects."""

MEMORY_LIMIT = "2GiB"
"""From here on it collects its garbage more often."""

UPLOADS_AT_ONCE_MB = 128
"""What is sent to it beyond this waits. Left alone it holds seven times what is on its way to it:
17 GB in a benchmark whose peers send a GiB at once, until the machine stood still."""

CREDENTIALS = f"""
access_key_id = "{ACCESS_KEY_ID}"
secret_access_key = "{SECRET_ACCESS_KEY}"
"""


@dataclass
class S3Server:
    """Listens on 127.0.0.1 at `port`. It can be killed, stopped in its tracks, and be back."""

    port: int
    directory: Path
    command: list[str]
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY_ID,
            aws_secret_access_key=SECRET_ACCESS_KEY,
            region_name="us-east-1",
        )

    def bucket(self, name: str) -> str:
        self.client().create_bucket(Bucket=name)
        return name

    def start(self) -> None:
        """Start it without waiting, with the data that it had."""
        with (self.directory / "weed.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.directory,
                env={**os.environ, "GOMEMLIMIT": MEMORY_LIMIT},
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """End it without a word."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def freeze(self) -> None:
        """Let it accept connections and answer none."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(number)


def credentials_file(directory: Path) -> Path:
    """Write the server's credentials into a directory of their own, where only root reads them."""
    path = directory / "store" / "credentials.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(CREDENTIALS)
    path.chmod(0o640)
    return path


@contextmanager
def s3_server(directory: Path) -> Iterator[S3Server]:
    """Run SeaweedFS with all its data in the directory."""
    weed = str(Path(sys.executable).with_name("weed"))  # the tests' requirements bring it
    configuration = directory / "s3.json"
    credentials = [{"accessKey": ACCESS_KEY_ID, "secretKey": SECRET_ACCESS_KEY}]
    identity = {"name": "tests", "credentials": credentials, "actions": ["Admin"]}
    configuration.write_text(json.dumps({"identities": [identity]}))
    port = _free_port()
    command = [
        weed,
        "server",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-dir={directory}",
        f"-master.port={_free_port()}",
        "-master.telemetry=false",
        f"-volume.port={_free_port()}",
        "-volume.max=300",
        *[f"-{part}.concurrentUploadLimitMB={UPLOADS_AT_ONCE_MB}" for part in ("s3", "filer")],
        "-filer",
        f"-filer.port={_free_port()}",
        "-s3",
        f"-s3.port={port}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.config={configuration}",
    ]
    server = S3Server(port, directory, command)
    try:
        server.start()
        wait_until_up(server)
        yield server
    finally:
        server.kill()  # asked to end, it takes more than 20 s; nobody reads its data any more


def _free_port() -> int:
    """Return a port that is free, as is the one that SeaweedFS derives from it for gRPC."""
    while True:
        port = free_port()
        if port + GRPC_PORT_OFFSET < FIRST_OUTGOING_PORT:
            with socket.socket() as probe, suppress(OSError):
                probe.bind(("127.0.0.1", port + GRPC_PORT_OFFSET))
                return port


def wait_until_up(server: S3Server) -> None:
    """The server is up when it stores something; it listens before that."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            bucket = server.bucket("is-it-up")
            server.client().put_object(Bucket=bucket, Key="k", Body=b"x")
        except (BotoCoreError, ClientError):
            assert server.process is not None
            assert server.process.poll() is None, "the S3 server ended"
            assert time.monotonic() < deadline_s, "the S3 server did not come up"
            time.sleep(0.1)
        else:
            return


Fault = Literal["none", "away", "throttled", "broken", "cut", "hanging"]


@dataclass
class FaultyProxy:
    """Passes requests on to the S3 server; `fault` spoils the next `times` answers, or all."""

    upstream_port: int
    fault: Fault = "none"
    times: int | None = None
    seen: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    go_on: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fail(self, fault: Fault, *, times: int | None = None) -> None:
        with self.lock:
            self.fault, self.times, self.seen = fault, times, 0

    def next_fault(self) -> Fault:
        with self.lock:
            self.seen += 1
            if self.times is not None:
                if not self.times:
                    return "none"
                self.times -= 1
            return self.fault


STATUS = {"throttled": 503, "broken": 500}
ERROR = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


@contextmanager
def faulty_proxy(server: S3Server) -> Iterator[FaultyProxy]:
    """Run the proxy in threads of this process."""
    proxy = FaultyProxy(server.port)

    class Handler(_Handler):
        faults = proxy

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    proxy.port = listener.server_address[1]
    thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield proxy
    finally:
        proxy.go_on.set()
        listener.shutdown()
        listener.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    faults: FaultyProxy

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.faults.next_fault()
        if fault == "hanging":
            self.faults.go_on.wait(60)
        if fault in ("away", "hanging"):
            self.close_connection = True
            return
        if fault in STATUS:
            self.reply(STATUS[fault], {}, ERROR)
            return
        upstream = http.client.HTTPConnection("127.0.0.1", self.faults.upstream_port, timeout=30)
        upstream.request(self.command, self.path, body=body, headers=dict(self.headers))
        response = upstream.getresponse()
        content = response.read()
        upstream.close()
        headers = {name: value for name, value in response.getheaders() if name in KEPT_HEADERS}
        self.reply(response.status, headers, content, is_cut=fault == "cut")

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer  # noqa: N815 - the library's names

    def reply(
        self, status: int, headers: dict[str, str], content: bytes, *, is_cut: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(content[: len(content) // 2] if is_cut else content)
        self.close_connection = self.close_connection or is_cut


KEPT_HEADERS = frozenset(("ETag", "Last-Modified", "Content-Type", "Content-Range"))
