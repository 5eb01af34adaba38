"""A whole Hakoiri to attack: small boxes, a site outside, and names that only rules keep apart."""

import base64
import json
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from tests.e2e.running import Hakoiri, data_of, prepare
from tests.e2e.scripts import RUN
from tests.engine import TestEngine

ALLOWED: Final = "allowed.example.test"
METADATA: Final = "metadata.example.test"
"""Allowed by name, but its address is the metadata service's."""

DENIED: Final = (
    "denied.example.test",
    "evilallowed.example.test",
    "allowed.example.test.denied.example.test",
    "example.test",
    "sub.allowed.example.test",
)
"""All have the site's address: nothing but the whitelist keeps them away."""

ANSWER: Final = "hello from outside"
_SMALL: Final = {
    # so that what uses them up is soon done, and begins again
    "TMP_MIB": "64",
    "SHM_MIB": "16",
    "WORKSPACE_MIB": "128",
    "WORKSPACE_INODES": "8192",
    "HOME_MIB": "128",
    "HOME_INODES": "8192",
}
LIMITS: Final[dict[str, dict[str, str]]] = {
    "runc": {**_SMALL, "MEMORY_MIB": "768", "PIDS": "192"},
    # gVisor's own kernel is in those two, too
    "runsc": _SMALL,
}

FILE_LIMIT_BYTES: Final = 64 * 1024**2
COMMAND_TIMEOUT_S: Final = 25

RUNNER: Final = """
import base64, json, subprocess, sys, zlib
asked = json.loads(zlib.decompress(base64.b64decode(sys.argv[1])))
told = {}
for name, command in asked.items():
    try:
        done = subprocess.run(["bash", "-c", command], stdin=subprocess.DEVNULL, cwd="/tmp",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=%d)
        told[name] = [done.returncode, done.stdout.decode(errors="replace")[-1200:]]
    except subprocess.TimeoutExpired:
        told[name] = [-1, "it did not end"]
print(base64.b64encode(zlib.compress(json.dumps(told).encode())).decode())
"""
"""Plays many commands in one turn: each prints little, and all of it fits in one result."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command in a container ended, and the end of what it said."""

    code: int
    said: str


@dataclass(slots=True)
class Outside:
    """A site on this host; it keeps which hosts it was asked for."""

    port: int
    asked: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Installation:
    """The server, and what is outside."""

    server: Hakoiri
    outside: Outside
    runtime: str

    def run(self, conversation: str, command: str) -> str:
        """Run a command in a turn; return what it said."""
        events = self.server.turn(conversation, f"run: {command}")
        assert events[-1]["type"] == "result", events[-1]
        text: str = data_of(events, "tool_result")[0]["text"]
        return text

    def run_all(self, conversation: str, commands: Mapping[str, str]) -> dict[str, Ran]:
        """Run each command in one turn, one after the other."""
        raw = json.dumps({name: self.filled(command) for name, command in commands.items()})
        packed = base64.b64encode(zlib.compress(raw.encode())).decode()
        runner = base64.b64encode((RUNNER % COMMAND_TIMEOUT_S).encode()).decode()
        said = self.run(
            conversation, f"echo {runner} | base64 -d > /tmp/run.py; python3 /tmp/run.py {packed}"
        )
        told = json.loads(zlib.decompress(base64.b64decode(said.strip())))
        return {name: Ran(*pair) for name, pair in told.items()}

    def filled(self, command: str) -> str:
        """Put the ports into a command."""
        return command.replace("{port}", str(self.outside.port)).replace(
            "{api}", str(self.server.server.port)
        )


@contextmanager
def outside() -> Iterator[Outside]:
    """Serve one answer on loopback, whatever the name."""
    made = Outside(0)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.headers["Host"].partition(":")[0])
            self.send_response(200)
            self.send_header("Content-Length", str(len(ANSWER)))
            self.end_headers()
            self.wfile.write(ANSWER.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_port
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def proxy_file(site: Outside) -> str:
    """Return the proxy's own file: where the names lie."""
    names = "\n".join(f'"{name}" = "127.0.0.1"' for name in (ALLOWED, *DENIED))
    return f"""
[network]
allow_addresses = ["127.0.0.1:{site.port}"]
[network.hosts]
{names}
"{METADATA}" = "169.254.169.254"
"""


def box_settings(image: str, runtime: str) -> dict[str, str]:
    """Return the variables of boxes with small limits."""
    return {
        "HAKOIRI_CONTAINER__RUNTIME": runtime,
        "HAKOIRI_CONTAINER__IMAGE": image,
        **{f"HAKOIRI_CONTAINER__{name}": value for name, value in LIMITS[runtime].items()},
    }


@contextmanager
def installation(
    root: Path,
    *,
    engine: TestEngine,
    image: str,
    runtime: str,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Installation]:
    """Run a server and a site; every conversation may reach the site by its allowed name."""
    with outside() as site:
        made = prepare(
            root,
            docker_host=engine.docker_host,
            script=RUN,
            settings={
                **box_settings(image, runtime),
                "HAKOIRI_FILES__FILE_LIMIT_BYTES": str(FILE_LIMIT_BYTES),
                **(settings or {}),
            },
        )
        (root / "proxy" / "proxy.toml").write_text(proxy_file(site))
        with made.server:
            policy: dict[str, Any] = made.api.call("GET", "/v1/policies/default")
            policy["rules"] = [
                {"host": ALLOWED, "ports": [site.port], "methods": ["GET"]},
                {"host": METADATA, "ports": [80], "methods": ["GET"]},
            ]
            made.api.call("PUT", "/v1/policies/default", policy)
            yield Installation(made, site, runtime)
