"""Containers made from our own configuration, as the server makes them, for a look from inside."""

import asyncio
import http.client
import json
import os
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.disks import small_disks

from hakoiri.docker_guard.boxes import Boxes
from hakoiri.docker_guard.ownership import PLAIN, Owner
from hakoiri.host.container_settings import ContainerSettings
from hakoiri.host.containers.box import read_box
from hakoiri.host.containers.hardening import ContainerSpec, engine_configuration
from hakoiri.host.settings import Settings

Runtime = Literal["runc", "runsc"]
Change = Callable[[dict[str, Any]], None]
END_TIMEOUT_S = 240.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("engine", timeout=END_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class Sealed:
    """One started container."""

    docker_host: str
    name: str
    root: Path

    @property
    def shown(self) -> dict[str, Any]:
        """What the engine says of it."""
        return dict(self._ask("GET", f"/containers/{self.name}/json"))

    @property
    def pid(self) -> int:
        """Its first process, on the host."""
        return int(self.shown["State"]["Pid"])

    def status(self) -> int:
        """Wait for its end."""
        return int(self._ask("POST", f"/containers/{self.name}/wait")["StatusCode"])

    def output(self) -> str:
        """Wait for its end; return what it wrote."""
        status = self.status()
        command = ["docker", "--host", self.docker_host, "logs", self.name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert status == 0, (done.stdout + done.stderr)[-2000:]
        return done.stdout

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        connection = _UnixConnection(self.docker_host.removeprefix("unix://"))
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, json.dumps(body) if body is not None else "", headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        assert answer.status < 300, content
        return json.loads(content) if content else None


def configuration(
    image: str, name: str, sources: Mapping[str, Path], *, runtime: Runtime
) -> dict[str, Any]:
    """The configuration of a container with nothing set but the runtime."""
    box = read_box(Settings(container=ContainerSettings(runtime=runtime)), instance="test")
    spec = ContainerSpec(
        instance="test",
        container_id=name,
        image_id=image,
        runtime=runtime,
        limits=box.limits(),
        seccomp_profile=box.seccomp_profiles[runtime],
    )
    body = engine_configuration(spec)
    for mount in body["HostConfig"]["Mounts"]:
        mount["Source"] = str(sources[mount["Source"]])
    return body


@contextmanager
def sealed(
    docker_host: str,
    image: str,
    root: Path,
    command: list[str],
    *,
    runtime: Runtime = "runc",
    change: Change | None = None,
    owner: Owner = PLAIN,
) -> Iterator[Sealed]:
    """Start a command in a container of our making; `change` takes parts of the sealing off."""
    name = f"hakoiri-test-{uuid.uuid4().hex[:12]}"
    stage = root / f"{name}-stage"
    stage.mkdir()
    disks = small_disks(root.with_name(f"{root.name}.disks"))
    boxes = Boxes(tree=root, disks=disks, stage=stage, proxy_sockets=None, proxy_uid=0)
    boxes.make(name, owner=owner)
    sources = boxes.sources(name)
    os.chown(sources["proxy"], owner.uid, owner.gid)
    body = configuration(image, name, sources, runtime=runtime)
    body |= {"Entrypoint": command[:1], "Cmd": command[1:]}
    if change is not None:
        change(body)
    made = Sealed(docker_host, name, root / name)
    docker = ["docker", "--host", docker_host]
    try:
        made._ask("POST", f"/containers/create?name={name}", body)
        made._ask("POST", f"/containers/{name}/start")
        yield made
    finally:
        subprocess.run([*docker, "rm", "--force", name], capture_output=True, check=False)
        asyncio.run(boxes.remove(name))


def without_filter(body: dict[str, Any]) -> None:
    """Take the filter off."""
    kept = [option for option in body["HostConfig"]["SecurityOpt"] if "seccomp=" not in option]
    body["HostConfig"]["SecurityOpt"] = [*kept, "seccomp=unconfined"]


def as_mighty_root(body: dict[str, Any]) -> None:
    """Leave the filter as the only thing between the calls that it refuses and the kernel."""
    body["User"] = "0:0"
    body["HostConfig"]["CapAdd"] = [
        *("DAC_OVERRIDE", "DAC_READ_SEARCH", "MKNOD", "NET_ADMIN", "NET_RAW", "SYS_ADMIN"),
        *("SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO"),
        *("SYS_TIME", "SYSLOG"),
    ]


def bare_root(body: dict[str, Any]) -> None:
    """Let every call reach the kernel."""
    without_filter(body)
    as_mighty_root(body)
