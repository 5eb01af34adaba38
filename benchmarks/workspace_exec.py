"""`echo` in a live workspace: by our API and command line, beside `docker exec` in the same box.

Each round has one sample of each, in an order that rotates. `docker exec` and `hakoiri workspace
exec` are whole commands, their own start included; the API's samples are one request each, on a
connection that is kept and on a new one, beside the engine's API, which needs two requests. What
the commands change is saved while later samples run, as it would be.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import aiodocker

from benchmarks.cold_start import server_environment
from benchmarks.orchestrator_bars import lines_of
from benchmarks.report import Part, Report, in_turns
from hakoiri.cli.demo.server_process import ServerProcess, free_port
from hakoiri.host.settings import DEFAULT_DOCKER_HOST

ARGV = ("echo", "hi")
SAID = b"hi\n"
AWAKE = {"HAKOIRI_CONTAINER__PAUSE_AFTER_S": "0", "HAKOIRI_CONTAINER__IDLE_TIMEOUT_S": "86400"}
"""The workspace stays live, however long the other parts of a round take."""

HAKOIRI = Path(sys.executable).with_name("hakoiri")


@dataclass(frozen=True, slots=True)
class Site:
    """A running server with one live workspace."""

    server: ServerProcess
    workspace: str
    container: str
    engine_host: str

    def parts(self) -> list[Part]:
        """Return all the ways; a request comes after none of what an engine cleans up behind."""
        return [
            self.docker_exec,
            self.engine_api,
            self.command_line,
            self.request,
            self.new_request,
        ]

    def docker_exec(self, report: Report) -> None:
        """Add one `docker exec`."""
        command = ["docker", "--host", self.engine_host, "exec", self.container, *ARGV]
        self._command(report, "docker exec", command)

    def command_line(self, report: Report) -> None:
        """Add one `hakoiri workspace exec`."""
        url = f"http://127.0.0.1:{self.server.port}"
        command = [str(HAKOIRI), "workspace", "exec", "--url", url, self.workspace, "--", *ARGV]
        self._command(report, "hakoiri workspace exec", command)

    def engine_api(self, report: Report) -> None:
        """Add one exec by the engine's own API."""
        asyncio.run(self._engine_api(report))

    def request(self, report: Report) -> None:
        """Add one request on a connection that was used before."""
        connection = HTTPConnection("127.0.0.1", self.server.port)
        connection.request("GET", "/health")
        connection.getresponse().read()
        self._request(report, "POST …/exec, connection kept", connection)
        connection.close()

    def new_request(self, report: Report) -> None:
        """Add one request on a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.server.port)
        self._request(report, "POST …/exec, new connection", connection)
        connection.close()

    def _command(self, report: Report, name: str, command: list[str]) -> None:
        started_s = time.perf_counter()
        said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        report.add(name, (time.perf_counter() - started_s) * 1000)
        _check(said.stdout)

    async def _engine_api(self, report: Report) -> None:
        async with aiodocker.Docker(url=self.engine_host) as docker:
            container = await docker.containers.get(self.container)
            started_s = time.perf_counter()
            execution = await container.exec(cmd=list(ARGV))
            said = b""
            async with execution.start() as stream:
                while message := await stream.read_out():
                    said += message.data
            report.add("engine's exec API", (time.perf_counter() - started_s) * 1000)
        _check(said)

    def _request(self, report: Report, name: str, connection: HTTPConnection) -> None:
        started_s = time.perf_counter()
        connection.request(
            "POST",
            f"/v1/workspaces/{self.workspace}/exec",
            body=json.dumps({"argv": ARGV}),
            headers={"Content-Type": "application/json"},
        )
        answer = json.loads(connection.getresponse().read())
        report.add(name, (time.perf_counter() - started_s) * 1000)
        _check(answer["stdout"].encode())


@contextmanager
def live_workspace(say: Callable[[str], None]) -> Iterator[Site]:
    """Start a server with a live workspace."""
    engine_host = os.environ.get("HAKOIRI_DOCKER_HOST", DEFAULT_DOCKER_HOST)
    with tempfile.TemporaryDirectory(prefix="hakoiri-bench-") as name:
        root = Path(name)
        root.chmod(0o755)  # the server runs as a user of its own
        server = ServerProcess(
            environment=server_environment(root, free_port()) | AWAKE, log=root / "server.log"
        )
        say("starting a server with a live workspace")
        with server:
            yield _site(server, root, engine_host)


def measure(samples: int, *, say: Callable[[str], None]) -> Report:
    """Measure; the first round warms caches and is not counted."""
    report = Report("echo in a live workspace", baseline="docker exec")
    with live_workspace(say) as site:
        in_turns(site.parts(), samples, report, say=say)
    report.lines = lines_of(report)
    return report


def _site(server: ServerProcess, root: Path, engine_host: str) -> Site:
    workspace = server.api.call("POST", "/v1/workspaces", {})["id"]
    server.api.call("POST", f"/v1/workspaces/{workspace}/exec", {"argv": ["true"]})
    instance = (root / "data" / "instance").read_text(encoding="ascii").strip()
    label = f"label=hakoiri.instance={instance}"
    command = ["docker", "--host", engine_host, "ps", "--quiet", "--filter", label]
    container = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return Site(server, workspace, container, engine_host)


def _check(said: bytes) -> None:
    if said != SAID:
        raise RuntimeError(f"the command said {said!r}")
