import json
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import pytest
from tests import waiting
from tests.conftest import give_up
from tests.e2e.scripts import RUN
from tests.engine import TestEngine
from tests.systemd.machine import Machine, machine, reason_against_machine

from hakoiri.cli.api_client import ApiClient, ApiError
from hakoiri.cli.demo.server_process import free_port

ROOT: Final = Path(__file__).parents[2]
UNIT: Final = "hakoiri.service"
PYTHON: Final = "/opt/hakoiri/current/.venv/bin/python"
KEY_ID: Final = "AKIATHEMACHINESMODEL"
WAIT_S: Final = 120.0
until = partial(waiting.until, wait_s=WAIT_S)

DROP_IN: Final = """\
# What this machine lacks for production (AppArmor, a signature); and secrets by systemd's hand.
[Service]
ExecStart=
ExecStart=/opt/hakoiri/current/.venv/bin/hakoiri serve
LoadCredential=proxy.env:/etc/hakoiri-secrets/proxy.env
Environment=HAKOIRI_PROXY__ENV_FILE=%d/proxy.env
"""

SETTINGS: Final = """\
host = "127.0.0.1"
port = {port}

[model]
provider = "bedrock"
region = "us-east-1"

[container]
image = "{image}"
probe_at_start = false

[warm_pool]
min = 0

[admission]
pressure_below_percent = 0
available_hold_percent = 0
available_drain_percent = 0
available_wait_percent = 0
"""
"""What else this host has to do is no affair of the service's here."""

WORDS: Final = " ".join(["slowly"] * 120)
SLOWLY: Final = f"""\
  - name: slow
    when: {{ regex: '^speak slowly' }}
    replies:
      - say: {WORDS}
        delta_delay_s: 0.2
"""

PROXY: Final = """\
[credentials.bedrock]
kind = "aws"
source = "static"
access_key_id_env = "MODEL_ACCESS_KEY_ID"
secret_access_key_env = "MODEL_SECRET_ACCESS_KEY"
services = ["bedrock"]
regions = ["us-east-1"]
endpoint = "http://127.0.0.1:{port}"

[network]
allow_addresses = ["127.0.0.1:{port}"]
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """A service on a machine, with a model that answers from a script."""

    machine: Machine
    api: ApiClient
    model_port: int
    secret: str
    checkout: str
    """Where in the machine the sources of the first release are."""

    def install(self, *words: str, checkout: str | None = None) -> str:
        script = f"{checkout or self.checkout}/deployment/systemd/install.sh"
        return self.machine.run("bash", script, *(words or ("install",)))

    def start(self) -> None:
        self.machine.run("systemctl", "start", UNIT)
        self.until_ready()

    def until_ready(self) -> None:
        until(self.is_ready, lambda: self.machine.journal(UNIT)[-4000:])

    def is_ready(self) -> bool:
        with suppress(ApiError):
            self.api.call("GET", "/ready")
            return True
        return False

    def main_pid(self) -> int:
        return int(self.machine.property_of(UNIT, "MainPID"))

    def process(self, module: str) -> int:
        """The process id, in the machine, of the one that runs the module and serves."""
        pattern = rf"\S+/python3? -m {re.escape(module)}( .*)?"
        return int(self.machine.run("pgrep", "--full", "--exact", pattern).split()[0])

    def status_of(self, pid: int) -> dict[str, str]:
        lines = self.machine.run("cat", f"/proc/{pid}/status").splitlines()
        return {name: rest.strip() for name, _, rest in (line.partition(":") for line in lines)}

    def containers(self) -> list[str]:
        listed = self.machine.run(
            "docker", "ps", "--all", "--quiet", "--filter=label=hakoiri.instance"
        )
        return listed.split()

    def conversation(self) -> str:
        made: str = self.api.call("POST", "/v1/conversations", {})["id"]
        return made

    def turn(self, conversation: str, text: str) -> list[dict[str, Any]]:
        return list(self.api.send(conversation, text))

    def log(self, conversation: str) -> list[dict[str, Any]]:
        last = self.api.call("GET", f"/v1/conversations/{conversation}")["last_event"]
        events = []
        for event in self.api.follow(conversation):
            events.append(event)
            if event["id"] >= last:
                break
        return events

    def told_to_the_model(self, text: str) -> set[int]:
        """How often each model request that holds the message holds it."""
        url = f"http://127.0.0.1:{self.model_port}/_rehearsal/requests"
        with urlopen(url, timeout=10) as answer:
            asked = json.load(answer)["requests"]
        return {one["user_texts"].count(text) for one in asked if text in one["user_texts"]}


@pytest.fixture(scope="session")
def booted() -> Iterator[Machine]:
    if reason := reason_against_machine():
        give_up(reason)
    with machine() as made:
        yield made


@pytest.fixture(scope="session")
def installed(booted: Machine, engine: TestEngine, image: str) -> Installed:
    """The service as the guide installs it, and not yet started."""
    booted.run("systemctl", "start", "docker.service")
    docker = ["docker", "--host", engine.docker_host, "save", image]
    booted.pipe_in(docker, "docker", "load")
    port, model_port, secret = free_port(), free_port(), secrets.token_hex(20)
    booted.write("/etc/hakoiri/hakoiri.toml", SETTINGS.format(port=port, image=image))
    booted.write("/etc/hakoiri/proxy.toml", PROXY.format(port=model_port))
    booted.write(
        "/etc/hakoiri-secrets/proxy.env",
        f"MODEL_ACCESS_KEY_ID={KEY_ID}\nMODEL_SECRET_ACCESS_KEY={secret}\n",
        mode="0600",
    )
    booted.write(f"/etc/systemd/system/{UNIT}.d/here.conf", DROP_IN)
    service = Installed(
        machine=booted,
        api=ApiClient(f"http://127.0.0.1:{port}", timeout_s=120),
        model_port=model_port,
        secret=secret,
        checkout="/srv/first",
    )
    copy_checkout(booted, service.checkout)
    service.install()
    start_model(service)
    return service


def copy_checkout(booted: Machine, target: str) -> None:
    """Put this checkout there, without what is not kept in it."""
    booted.run("mkdir", "--parents", target)
    parts = ("src", "workspace-base", "deployment", "docs", "requirements")
    files = ("pyproject.toml", "README.md", "CHANGELOG.md")
    packed = ["tar", "--directory", str(ROOT), "--exclude=__pycache__", "--create", *parts, *files]
    booted.pipe_in(packed, "tar", "--extract", "--directory", target)


def start_model(service: Installed) -> None:
    booted = service.machine
    booted.write("/srv/script.yaml", RUN.replace("scenes:\n", f"scenes:\n{SLOWLY}", 1))
    environment = {
        "HAKOIRI_REHEARSAL_ACCESS_KEY_ID": KEY_ID,
        "HAKOIRI_REHEARSAL_SECRET_ACCESS_KEY": service.secret,
    }
    booted.run(
        *("systemd-run", "--unit=model"),
        *(f"--setenv={name}={value}" for name, value in environment.items()),
        *(PYTHON, "-m", "hakoiri.rehearsal", "--script=/srv/script.yaml"),
        f"--listen=127.0.0.1:{service.model_port}",
    )
