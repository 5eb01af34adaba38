"""A whole Hakoiri for tests: its own data, ports and script; the engine's containers are real."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from tests.waiting import until

from hakoiri.cli.api_client import ApiClient
from hakoiri.cli.demo.server_process import ServerProcess, free_port

RUNTIME_VARIABLE: Final = "HAKOIRI_TESTS_RUNTIME"


@dataclass(frozen=True, slots=True)
class Hakoiri:
    """A running server and what a test may want to look at."""

    root: Path
    server: ServerProcess
    rehearsal_port: int
    docker_host: str

    @property
    def api(self) -> ApiClient:
        return self.server.api

    @property
    def data_dir(self) -> Path:
        return self.root / "data"

    @property
    def instance(self) -> str:
        return (self.data_dir / "instance").read_text().strip()

    @property
    def proxy_state_dir(self) -> Path:
        return self.root / "proxy-state" / self.instance

    @property
    def tree(self) -> Path:
        """Where the guard makes the directories of containers."""
        return self.root / "live" / self.instance

    @property
    def disks(self) -> Path:
        """Where the disks of containers lie."""
        return self.root / "live" / f"{self.instance}.disks"

    @property
    def run_dir(self) -> Path:
        return Path("/run/hakoiri") / self.instance

    def conversation(self, **options: Any) -> str:
        made: str = self.api.call("POST", "/v1/conversations", options)["id"]
        return made

    def turn(self, conversation: str, text: str) -> list[dict[str, Any]]:
        return list(self.api.send(conversation, text))

    def log(self, conversation: str) -> list[dict[str, Any]]:
        """All recorded events, without waiting for more."""
        last = self.api.call("GET", f"/v1/conversations/{conversation}")["last_event"]
        events = []
        for event in self.api.follow(conversation):
            events.append(event)
            if event["id"] >= last:
                break
        return events

    def model_requests(self) -> list[dict[str, Any]]:
        url = f"http://127.0.0.1:{self.rehearsal_port}/_rehearsal/requests"
        with urlopen(url, timeout=60) as answer:
            journal: list[dict[str, Any]] = json.load(answer)["requests"]
        return journal

    def server_log(self, event: str) -> list[dict[str, Any]]:
        """What the server's processes logged under this name."""
        wanted = f'"event": "{event}"'
        return [json.loads(line) for line in self.log_lines() if wanted in line]

    def log_lines(self) -> list[str]:
        """All that was printed so far, but for a line that is being written."""
        text = self.server.log.read_text(errors="replace")
        return text.rpartition("\n")[0].splitlines()

    def audited(self, query: str) -> list[dict[str, Any]]:
        """What `/v1/audit` tells, newest first; waits, for each process writes in its own time."""

        def found() -> list[dict[str, Any]]:
            told: list[dict[str, Any]] = self.api.call("GET", f"/v1/audit?{query}")["events"]
            return told

        return until(found, query)

    def docker(self, *arguments: str) -> str:
        return subprocess.run(
            ["docker", "--host", self.docker_host, *arguments],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def containers(self) -> list[str]:
        """Engine ids of all containers of this server, running or not."""
        label = f"label=hakoiri.instance={self.instance}"
        return self.docker("ps", "--all", "--quiet", "--filter", label).split()

    def boxes(self) -> list[str]:
        """Ids of the containers that have directories on this host."""
        return sorted(path.name for path in self.tree.iterdir()) if self.tree.exists() else []

    def inspect(self, container: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", container))
        return found[0]

    def mounts(self) -> list[str]:
        """Where something of this server's containers is mounted on the host."""
        points = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
        return [point for point in points if point.startswith(f"{self.tree}/")]

    def kill_all(self) -> None:
        """Kill the supervisor and all its processes at once, with no chance to say anything."""
        pids = [self.server.pid, *descendants(self.server.pid)]
        for number in (signal.SIGSTOP, signal.SIGKILL):  # so that none sees another one's end
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        self.server.stop()

    def processes(self, module: str, *, with_spares: bool = False) -> list[int]:
        """Pids of this server's processes that run the module; of spares only if asked."""
        return [
            pid
            for pid in descendants(self.server.pid)
            if module in (arguments := of_process(pid, "cmdline").split("\0"))
            and (with_spares or "--stand-by" not in arguments or not stands_by(pid))
        ]


def of_process(pid: int, name: str) -> str:
    """What the kernel tells of a process; nothing once it is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def descendants(pid: int) -> list[int]:
    """All children of a process, and theirs."""
    found: list[int] = []
    for child in of_process(pid, f"task/{pid}/children").split():
        found += [int(child), *descendants(int(child))]
    return found


def stands_by(pid: int) -> bool:
    """Whether a process that can stand by has not been needed yet: its input is still open."""
    try:
        return str(Path(f"/proc/{pid}/fd/0").readlink()).startswith("pipe:")
    except OSError:
        return True  # it has just ended


def usual_runtime() -> str:
    """The runtime of the servers under test whose tests choose none: runc, or as the caller says.

    `make test-runsc` says runsc.
    """
    return os.environ.get(RUNTIME_VARIABLE, "runc")


def turn_types(events: list[dict[str, Any]]) -> list[str]:
    """The events' types, runs of deltas as one."""
    types: list[str] = []
    for event in events:
        if not types or event["type"] != types[-1] or not event["type"].endswith("_delta"):
            types.append(event["type"])
    return types


def data_of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event["data"] for event in events if event["type"] == kind]


@contextmanager
def hakoiri(
    root: Path,
    *,
    docker_host: str,
    script: str | None = None,
    settings: Mapping[str, str] | None = None,
    key: str | None = None,
) -> Iterator[Hakoiri]:
    """Run a server on the rehearsal model; `settings` are further variables."""
    made = prepare(root, docker_host=docker_host, script=script, settings=settings, key=key)
    with made.server:
        yield made


def prepare(
    root: Path,
    *,
    docker_host: str,
    script: str | None = None,
    settings: Mapping[str, str] | None = None,
    key: str | None = None,
) -> Hakoiri:
    """Lay out a server without starting it."""
    root.chmod(0o755)
    rehearsal_port = free_port()
    own = root / "proxy"
    own.mkdir(exist_ok=True)
    variables = {
        "HAKOIRI_DATA_DIR": str(root / "data"),
        "HAKOIRI_DOCKER_HOST": docker_host,
        "HAKOIRI_GUARD__LIVE_DIR": str(root / "live"),
        "HAKOIRI_AUDIT__DIR": str(root / "audit"),
        "HAKOIRI_CONTAINER__PROBE_AT_START": "false",
        "HAKOIRI_CONTAINER__RUNTIME": usual_runtime(),
        "HAKOIRI_WARM_POOL__MIN": "0",
        "HAKOIRI_MODEL__PROVIDER": "rehearsal",
        "HAKOIRI_MODEL__REHEARSAL_PORT": str(rehearsal_port),
        "HAKOIRI_PROXY__FILE": str(own / "proxy.toml"),
        "HAKOIRI_PROXY__ENV_FILE": str(own / "proxy.env"),
        "HAKOIRI_PROXY__STATE_DIR": str(root / "proxy-state"),
    }
    if script is not None:
        path = root / "script.yaml"
        path.write_text(script)
        variables["HAKOIRI_MODEL__REHEARSAL_SCRIPT"] = str(path)
    return Hakoiri(
        root=root,
        server=ServerProcess(
            environment=variables | dict(settings or {}), log=root / "server.log", key=key
        ),
        rehearsal_port=rehearsal_port,
        docker_host=docker_host,
    )
