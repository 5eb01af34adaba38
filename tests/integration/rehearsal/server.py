"""The rehearsal as its own process, for tests that need a real socket."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

ACCESS_KEY_ID = "AKIDEXAMPLE"
SECRET_ACCESS_KEY = "planted-secret"
API_KEY = "planted-api-key"
REGION = "us-east-1"


@dataclass(frozen=True)
class Server:
    """A rehearsal that listens on 127.0.0.1 at `port`."""

    port: int
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def journal(self) -> list[dict[str, Any]]:
        """What the rehearsal has recorded so far."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", "/_rehearsal/requests")
            entries: list[dict[str, Any]] = json.load(connection.getresponse())["requests"]
        finally:
            connection.close()
        return entries


@contextmanager
def rehearsal(*, script: Path | None = None) -> Iterator[Server]:
    """Start a rehearsal with both credentials, and end it."""
    arguments = ["--region", REGION, "--access-key-id", ACCESS_KEY_ID]
    arguments += ["--script", str(script)] if script else []
    secrets = {
        "HAKOIRI_REHEARSAL_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "HAKOIRI_REHEARSAL_API_KEY": API_KEY,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "hakoiri.rehearsal", *arguments],
        env={**os.environ, **secrets},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline() or "{}")
            yield Server(int(ready["listening"].rpartition(":")[2]), process)
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
