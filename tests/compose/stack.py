"""A whole stack of docker-compose.yml for tests: a project of its own on the caller's engine."""

import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests import waiting
from tests.compose.images import ROOT, host_image, next_image, store_images
from tests.e2e.scripts import RUN, SLOW, STEADY, WAIT
from tests.engine import remove_directory
from tests.trace_receiver import TraceReceiver

from hakoiri.cli.api_client import ApiClient

WAIT_S: Final = 90.0
until = partial(waiting.until, wait_s=WAIT_S)
UP_S: Final = 420.0
KEY_ID: Final = "AKIAREHEARSAL00000000"
PROXY_FILE: Final = """
[credentials.bedrock]
kind = "aws"
source = "file"
keys_file = "/run/secrets/model_key"
services = ["bedrock"]
regions = ["us-east-1"]
endpoint = "http://127.0.0.1:8431"

[network]
allow_addresses = ["127.0.0.1:8431"]
"""
SHIP_FILE: Final = """
[[target]]
name = "copy"
kind = "file"
directory = "/srv/audit-copy"
"""
SETTINGS: Final = """
[container]
probe_at_start = false

[warm_pool]
min = 0

[tracing]
endpoint = "http://{host}:{port}"
interval_s = 0.5
"""
LOOKED_AT: Final = (
    *("audit-keeper", "audit-reader", "docker-guard", "credential-proxy", "redis", "postgres"),
    *("server", "prometheus", "rehearsal", "audit-shipper"),
)
WANTED: Final = ("server", "prometheus", "rehearsal", "audit-shipper")
"""With all that they need: everything but Grafana, which is not among Debian's packages."""


def compose_command() -> list[str]:
    """Return Compose v2 where the client has it, else docker-compose (1.29 in Debian 12)."""
    v2 = subprocess.run(["docker", "compose", "version"], check=False, capture_output=True)
    if v2.returncode == 0:
        return ["docker", "compose"]
    found = shutil.which("docker-compose")
    assert found, "there is no Compose; run `make compose-test`"
    return [found]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Networks of the tests' own."""

    inner: str
    server: str
    watch: str
    prometheus: str
    grafana: str
    host: str
    """The host's own, as server and proxy reach it."""

    @classmethod
    def of(cls, number: int) -> "Addresses":
        """Two small networks of sixteen addresses, apart from those of .env.example."""
        base = f"172.31.{number}"
        hosts = (f"{base}.{last}" for last in (2, 18, 19, 1))
        server, prometheus, grafana, host = hosts
        return cls(f"{base}.0/28", server, f"{base}.16/28", prometheus, grafana, host)


@dataclass(slots=True)
class Stack:
    """A running stack, and what a test may want to look at."""

    base: Path
    project: str
    instance: str
    docker_host: str
    addresses: Addresses
    variables: dict[str, str]
    collector: TraceReceiver
    key: str = ""

    @property
    def api(self) -> ApiClient:
        return ApiClient(f"http://{self.addresses.server}:8420", key=self.key)

    def run(self, *command: str | Path, timeout_s: float = UP_S) -> str:
        """Run a command against this engine; return what it said."""
        done = subprocess.run(
            [str(part) for part in command],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env={**os.environ, "DOCKER_HOST": self.docker_host},
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    def docker(self, *arguments: str) -> str:
        return self.run("docker", *arguments).strip()

    @property
    def audit_copy(self) -> Path:
        """Where the shipper copies the audit log to."""
        return Path(self.variables["AUDIT_COPY_DIR"]) / self.instance

    def compose(self, *arguments: str, timeout_s: float = UP_S, more: tuple[str, ...] = ()) -> str:
        """Run Compose on the stack's files, and `more` of them."""
        version = "v1" if Path("/sys/fs/cgroup/memory").is_dir() else "v2"
        files = [
            *("docker-compose.yml", f"deployment/compose/cgroup-{version}.yml"),
            *("deployment/compose/rehearsal.yml", "deployment/compose/audit-shipper.yml"),
            *(str(self.base / "overlay.yml"), *more),
        ]
        return self.run(
            *compose_command(),
            *("--env-file", str(self.base / "env"), "--project-name", self.project),
            *("--project-directory", str(ROOT)),
            *(word for file in files for word in ("-f", file)),
            *arguments,
            timeout_s=timeout_s,
        )

    def set(self, **variables: str) -> None:
        """Write the environment file anew, with these changed."""
        self.variables |= variables
        lines = [f"{name}={value}\n" for name, value in self.variables.items()]
        (self.base / "env").write_text("".join(lines))

    def up(self) -> None:
        self.compose("up", "-d", *WANTED)
        until(self.is_healthy)

    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine tells of each service's container."""
        label = "com.docker.compose"
        ids = self.docker("ps", "-aq", "--filter", f"label={label}.project={self.project}").split()
        told = json.loads(self.docker("inspect", *ids)) if ids else []
        return {
            one["Config"]["Labels"][f"{label}.service"]: one
            for one in told
            if one["Config"]["Labels"].get(f"{label}.oneoff", "False") == "False"
        }

    def is_healthy(self) -> bool:
        """Whether each service that is looked at is well."""
        states = {
            name: one["State"].get("Health", {}).get("Status")
            for name, one in self.containers().items()
            if name != "prepare"
        }
        return set(states.values()) == {"healthy"}

    def within(self, service: str, *command: str, user: str | None = None) -> str:
        """Run a command in a service's container, as its processes' user or another."""
        as_user = ("--user", user) if user is not None else ()
        return self.docker("exec", *as_user, self.containers()[service]["Id"], *command)

    def processes(self, service: str) -> list[dict[str, str]]:
        """What the kernel says of each process of a service: the lines of `/proc/PID/status`."""
        first = self.containers()[service]["State"]["Pid"]
        pids = [first, *_descendants(first)]
        return [_status(pid) | {"pid": str(pid)} for pid in pids]

    def secrets(self) -> dict[str, str]:
        """Each secret's value by name, of those that are one word in their file."""
        found: dict[str, str] = {}
        for path in (self.base / "secrets").iterdir():
            words = re.findall(r"[A-Za-z0-9/+_-]{24,}", path.read_text())
            found |= {f"{path.name}-{number}": word for number, word in enumerate(words)}
        return found

    def conversation(self) -> str:
        made: str = self.api.call("POST", "/v1/conversations", {})["id"]
        return made

    def log(self, conversation: str) -> list[dict[str, Any]]:
        last = self.api.call("GET", f"/v1/conversations/{conversation}")["last_event"]
        events = []
        for event in self.api.follow(conversation):
            events.append(event)
            if event["id"] >= last:
                break
        return events

    def explained(self, events: list[dict[str, Any]], *, lines: int = 40) -> str:
        """What a turn's events were, and what the processes said last."""
        told = [json.dumps(one) for one in events if not one["type"].endswith("_delta")]
        for name in ("server", "credential-proxy", "docker-guard"):
            container = self.containers()[name]["Id"]
            said = subprocess.run(
                ["docker", "--host", self.docker_host, "logs", "--tail", str(lines), container],
                check=False,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ).stdout
            told += [f"the last words of {name}:", said]
        return "\n".join(told)

    def workspaces(self) -> list[Path]:
        return list((self.base / "live" / self.instance).glob("*/workspace"))


def _descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [one for child in children for one in (int(child), *_descendants(int(child)))]


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _fill(base: Path, secret: str) -> None:
    """Put in what host.sh leaves to the operator."""
    keys = {"Version": 1, "AccessKeyId": KEY_ID, "SecretAccessKey": secret}
    for name, text in (("proxy_file", PROXY_FILE), ("model_key", json.dumps(keys))):
        (base / "secrets" / name).write_text(text)
    (base / "secrets/ship_file").write_text(SHIP_FILE)
    rehearsal = base / "secrets/rehearsal_key"
    rehearsal.write_text(secret)
    rehearsal.chmod(0o400)
    os.chown(rehearsal, 65534, 65534)


@contextmanager
def stack(docker_host: str, *, workspace_image: str, collector: TraceReceiver) -> Iterator[Stack]:
    """Bring a stack up on images of Debian's packages; afterwards nothing of it is left."""
    mark = secrets.token_hex(3)
    first, second = (f"hakoiri-compose-test/host:{name}" for name in ("before", "after"))
    host_image(docker_host, tag=first)
    next_image(docker_host, before=first, tag=second)
    stores = store_images(docker_host)
    base = Path(f"/var/lib/hakoiri-compose-test-{mark}")
    base.mkdir(mode=0o711)
    addresses = Addresses.of(64 + secrets.randbelow(128))
    running = Stack(
        base=base,
        project=f"hakoiri-test-{mark}",
        instance=secrets.token_hex(6),
        docker_host=docker_host,
        addresses=addresses,
        variables=_variables(base, stores, addresses, image=first, workspace=workspace_image),
        collector=collector,
    )
    try:
        _begin(running)
        yield running
    finally:
        _take_away(running)


def _variables(
    base: Path, stores: Mapping[str, str], addresses: Addresses, *, image: str, workspace: str
) -> dict[str, str]:
    return {
        "BASE_DIR": str(base),
        "IMAGE": image,
        "WORKSPACE_IMAGE": workspace,
        "MODEL_PROVIDER": "rehearsal",
        "REHEARSAL_SCRIPT": "/etc/script.yaml",
        "INNER_SUBNET": addresses.inner,
        "SERVER_ADDRESS": addresses.server,
        "WATCH_SUBNET": addresses.watch,
        "PROMETHEUS_ADDRESS": addresses.prometheus,
        "GRAFANA_ADDRESS": addresses.grafana,
        "AUDIT_COPY_DIR": f"{base}/audit-copy",
        "IMAGE_PUBLIC_KEY": f"{base}/image.pub",
        "IMAGE_SIGNATURES": f"{base}/images",
        **{f"{name.upper()}_IMAGE": tag for name, tag in stores.items()},
    }


def _overlay(base: Path) -> dict[str, Any]:
    """What differs from an operator's: a script for the stand-in, and looks more often."""
    # who looks more often gives up later, or a busy machine would not have the time
    look = {"interval": "3s", "timeout": "30s", "retries": 20}
    often = {name: {"healthcheck": look} for name in LOOKED_AT}
    script: dict[str, Any] = {"volumes": [f"{base}/script.yaml:/etc/script.yaml:ro"]}
    return {"services": often | {"rehearsal": often["rehearsal"] | script}}


def _begin(running: Stack) -> None:
    base = running.base
    running.set(INSTANCE=running.instance)
    (base / "script.yaml").write_text(RUN + SLOW + WAIT + STEADY)
    (base / "script.yaml").chmod(0o644)
    (base / "overlay.yml").write_text(json.dumps(_overlay(base)))
    running.run("deployment/compose/host.sh", "up", base / "env")
    (base / "hakoiri.toml").write_text(
        SETTINGS.format(host=running.addresses.host, port=running.collector.port)
    )
    _fill(base, secrets.token_urlsafe(30))
    running.key = running.compose("run", "--rm", "-T", "key", "create", "tests").split()[-1]
    metrics_key = running.compose("run", "--rm", "-T", "key", "create", "prometheus").split()[-1]
    (base / "secrets/metrics_key").write_text(metrics_key)
    running.up()


def _take_away(running: Stack) -> None:
    for command in (
        ("logs", "--no-color", "--tail=60"),
        ("down", "--remove-orphans", "--timeout", "20"),
    ):
        try:
            print(running.compose(*command))  # noqa: T201 - shown where a test failed
        except (AssertionError, subprocess.TimeoutExpired) as error:
            print(error)  # noqa: T201
    running.run("deployment/compose/host.sh", "down", running.base / "env")
    remove_directory(running.base)
