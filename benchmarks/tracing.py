"""What traces cost: a request of the proxy, a claim, and the processors' time of a turn.

Servers that differ in tracing alone run the same turn, interleaved: without it, with it, and with a
collector that is away. The collector takes what comes and throws it away, in a process of its own.
"""

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.cold_start import server_environment
from benchmarks.live_sync import PROCESSOR, processor_ms, turn
from benchmarks.proxy_site import wait_for
from benchmarks.report import Report
from hakoiri.cli.demo.server_process import ServerProcess, free_port
from hakoiri.credential_proxy.span_allowance import BURST
from hakoiri.tracing.launch import TracingLaunch
from hakoiri.wire.policy import Policy, Rule
from hakoiri.wire.proxy import Bind

OFF: Final = "off"
ON: Final = "on"
AWAY: Final = "on, collector away"
REQUESTS: Final = BURST
"""Of the proxy, one after the other, for one sample: as many as one container has spans for."""

HOST: Final = "files.example.test"
TRACEPARENT: Final = f"00-{'a' * 32}-{'b' * 16}-01"
SINK: Final = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
    do_GET = do_POST = answer
    def log_message(self, *_): pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""
SCRIPT: Final = """
scenes:
  - name: work
    replies:
      - say: I work.
        use: [{tool: Bash, input: {command: "date > made", description: work}}]
      - say: done
"""


def measure(samples: int, *, say: Callable[[str], None]) -> Report:
    """Measure turns on live containers, and requests of the proxy."""
    report = Report("Traces, off and on", baseline=f"turn, {OFF}")
    with ExitStack() as stack:
        port = stack.enter_context(sink())
        endpoints = {OFF: None, ON: port, AWAY: free_port()}
        servers = {name: _server(stack, endpoint) for name, endpoint in endpoints.items()}
        proxies = {
            name: stack.enter_context(_proxy(endpoints[name], upstream_port=port))
            for name in (OFF, ON)
        }
        for number in range(samples):
            say(f"round {number + 1} of {samples}")
            for name in _rotated(servers, number):
                _sample_turn(report, name, *servers[name])
            for name in _rotated(proxies, number):
                _sample_requests(report, name, *proxies[name], number=number)
    report.samples_ms = dict(sorted(report.samples_ms.items(), key=lambda one: one[0]))
    return report


def _rotated(names: Mapping[str, Any], number: int) -> list[str]:
    first, found = number % len(names), list(names)
    return found[first:] + found[:first]


def _sample_turn(report: Report, name: str, server: ServerProcess, conversation: str) -> None:
    before_ms, claimed_s = processor_ms(server.pid), _claimed_s(server)
    report.add(f"turn, {name}", turn(server, conversation, "work") * 1000)
    report.add(f"{PROCESSOR}, {name}", processor_ms(server.pid) - before_ms)
    report.add(f"live claim, {name}", (_claimed_s(server) - claimed_s) * 1000)


def _claimed_s(server: ServerProcess) -> float:
    """Return the time that all claims of live containers have taken so far."""
    wanted = 'hakoiri_claim_seconds_sum{start="live"} '
    for line in server.api.download("/metrics").decode().splitlines():
        if line.startswith(wanted):
            return float(line.removeprefix(wanted))
    return 0.0


def _server(stack: ExitStack, collector_port: int | None) -> tuple[ServerProcess, str]:
    """Start a server; return it with a conversation whose container is live."""
    root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hakoiri-bench-")))
    root.chmod(0o755)  # the server runs as a user of its own
    script = root / "script.yaml"
    script.write_text(SCRIPT, encoding="utf-8")
    settings = server_environment(root, free_port()) | {
        "HAKOIRI_MODEL__REHEARSAL_SCRIPT": str(script)
    }
    if collector_port is not None:
        settings["HAKOIRI_TRACING__ENDPOINT"] = f"http://127.0.0.1:{collector_port}"
    if host := os.environ.get("HAKOIRI_DOCKER_HOST"):
        settings["HAKOIRI_DOCKER_HOST"] = host
    server = stack.enter_context(ServerProcess(environment=settings, log=root / "server.log"))
    conversation: str = server.api.call("POST", "/v1/conversations", {})["id"]
    turn(server, conversation, "work")
    return server, conversation


@contextmanager
def sink() -> Iterator[int]:
    """Run a collector that throws away what it takes; yield its port."""
    with subprocess.Popen([sys.executable, "-c", SINK], stdout=subprocess.PIPE) as sink:
        if sink.stdout is None:
            raise RuntimeError("the collector has no output")
        try:
            yield int(sink.stdout.readline())
        finally:
            sink.kill()


@contextmanager
def _proxy(collector_port: int | None, *, upstream_port: int) -> Iterator[tuple[int, Path, int]]:
    """Run a proxy alone; yield its pid, its directory, and the port that it leads to."""
    with tempfile.TemporaryDirectory(prefix="hakoiri-bench-") as name:
        root = Path(name)
        for directory in ("sockets", "state"):
            (root / directory).mkdir(mode=0o700)
        file = root / "proxy.toml"
        file.write_text(
            f'[network]\nallow_addresses = ["127.0.0.1:{upstream_port}"]\n'
            f'[network.hosts]\n"{HOST}" = "127.0.0.1"\n',
            encoding="utf-8",
        )
        file.chmod(0o600)
        told = b""
        if collector_port is not None:
            endpoint = f"http://127.0.0.1:{collector_port}/v1/traces"
            told = TracingLaunch(endpoint=endpoint, instance="bench").model_dump_json().encode()
        command = [sys.executable, "-m", "hakoiri.credential_proxy"]
        command += ["--sockets-dir", str(root / "sockets"), "--control", str(root / "control.sock")]
        command += ["--file", str(file), "--state-dir", str(root / "state")]
        command += ["--tracing"] if told else []
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
            if process.stdin is None:
                raise RuntimeError("the proxy has no input")
            process.stdin.write(told)
            process.stdin.close()
            try:
                wait_for(root / "control.sock")
                yield process.pid, root, upstream_port
            finally:
                process.terminate()


def _bound(root: Path, upstream_port: int, number: int) -> Path:
    bind = Bind(
        workspace="w",
        tenant="t",
        generation=1,
        policy=Policy(rules=[Rule(host=HOST, ports=[upstream_port])]),
        traceparent=TRACEPARENT,
    )
    connection = _Connection(root / "control.sock")
    connection.request("PUT", f"/sockets/bench-{number}", body=bind.model_dump_json())
    answer = connection.getresponse()
    directory = json.loads(answer.read())["directory"]
    connection.close()
    return Path(directory) / "proxy.sock"


def _sample_requests(
    report: Report, name: str, pid: int, root: Path, port: int, *, number: int
) -> None:
    connection = _Connection(_bound(root, port, number))
    before_ms, begun_s = processor_ms(pid), time.perf_counter()
    for _ in range(REQUESTS):
        connection.request("GET", f"http://{HOST}:{port}/", headers={"Host": f"{HOST}:{port}"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"the proxy answered {answer.status}")
    took_ms = (time.perf_counter() - begun_s) * 1000
    connection.close()
    report.add(f"one request of the proxy, {name}", took_ms / REQUESTS)
    report.add(
        f"one request of the proxy, its processor time, {name}",
        (processor_ms(pid) - before_ms) / REQUESTS,
    )


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))
