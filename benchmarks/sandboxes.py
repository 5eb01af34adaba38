"""A sandbox's first output and a command in a live one: ours beside other ways to have them.

Each round makes one of each kind, in an order that rotates: created until it has said the output
of `echo`, then the same command in it five times, then removed, which is not counted. Ours are
workspaces without a conversation, from a warm pool and cold, by the API. The peers run with what
they do by default: as root, without our hardening, so they have less to do.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from typing import Final, Protocol

import aiodocker

from benchmarks.orchestrator_bars import lines_of
from benchmarks.peers.sandboxes import PeerMissingError, llm_sandbox, swe_rex
from benchmarks.plain_container import PlainContainer, plain_container
from benchmarks.report import Report, in_turns
from benchmarks.warm_pool import WarmSite, serving
from hakoiri.cli.workspace_image import workspace_image
from hakoiri.host.containers.box import read_box
from hakoiri.host.settings import DEFAULT_DOCKER_HOST, load

COMMANDS: Final = 5
ARGV: Final = ("echo", "hi")
WAITED_S: Final = 1.0
"""A container that answers health has modules to load still; one that waited has them."""


class Sandbox(Protocol):
    """A way to have sandboxes; each word takes as many milliseconds as it returns."""

    @property
    def name(self) -> str:
        """What it is called in the report."""

    def ms(self, word: str) -> float:
        """Do it: `create` with a first command, `command` or `remove`."""


@dataclass(slots=True)
class Workspace:
    """Ours, from a pool of `count` warm containers."""

    name: str
    site: WarmSite
    count: int
    path: str = ""

    def ms(self, word: str) -> float:
        if word == "create":
            self.site.fill(self.count, preconnect=False)
            time.sleep(WAITED_S)
        connection = HTTPConnection("127.0.0.1", self.site.site.server.port)
        began_s = time.perf_counter()
        match word:
            case "create":
                self.path = (
                    f"/v1/workspaces/{_asked(connection, 'POST', '/v1/workspaces', {})['id']}"
                )
                self._echo(connection)
            case "command":
                self._echo(connection)
            case "remove":
                self.site.site.server.api.call("DELETE", self.path)
        took_ms = (time.perf_counter() - began_s) * 1000
        connection.close()
        if word == "create":  # what refills the pool must not run beside the next commands
            self.site.fill(0, preconnect=False)
        return took_ms

    def _echo(self, connection: HTTPConnection) -> None:
        said = _asked(connection, "POST", f"{self.path}/exec", {"argv": ARGV})["stdout"]
        if said != "hi\n":
            raise RuntimeError(f"the command said {said!r}")


def _asked(connection: HTTPConnection, method: str, path: str, body: object) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    connection.request(method, path, body=json.dumps(body), headers=headers)
    answer: dict[str, str] = json.loads(connection.getresponse().read())
    return answer


@dataclass(slots=True)
class PlainEngine:
    """The engine's API by aiodocker, hardened as ours: create, start, exec."""

    name: str
    plain: PlainContainer
    container_id: str = ""

    def ms(self, word: str) -> float:
        return asyncio.run(self._ms(word))

    async def _ms(self, word: str) -> float:
        async with aiodocker.Docker(url=self.plain.engine_host) as docker:
            began_s = time.perf_counter()
            if word == "create":
                made = await docker.containers.create(self.plain.mounted_configuration())
                self.container_id = made.id
                await made.start()
            container = docker.containers.container(self.container_id)
            if word == "remove":
                await container.delete(force=True)
            else:
                await _engine_echo(container)
            return (time.perf_counter() - began_s) * 1000


async def _engine_echo(container: aiodocker.containers.DockerContainer) -> None:
    execution = await container.exec(cmd=list(ARGV))
    said = b""
    async with execution.start() as stream:
        while message := await stream.read_out():
            said += message.data
    if said != b"hi\n":
        raise RuntimeError(f"the command said {said!r}")


def measure(samples: int, *, say: Callable[[str], None]) -> Report:
    """Measure; the first round warms caches and is not counted."""
    host = os.environ.get("HAKOIRI_DOCKER_HOST", DEFAULT_DOCKER_HOST)
    image = workspace_image()
    report = Report(
        "Sandboxes: create to first output, and a command", baseline="aiodocker: create"
    )
    with serving(say) as site:
        box = read_box(load(docker_host=host), instance="bench")
        with (
            plain_container(engine_host=host, box=box, image_id=image) as plain,
            kinds(site, plain, report) as all_kinds,
        ):
            in_turns([partial(one_of, kind) for kind in all_kinds], samples, report, say=say)
    report.samples_ms = dict(sorted(report.samples_ms.items()))
    report.lines = lines_of(report)
    return report


@contextmanager
def kinds(site: WarmSite, plain: PlainContainer, report: Report) -> Iterator[list[Sandbox]]:
    """Start those that are to be had, with the image of `plain`; a note has those that are not."""
    found: list[Sandbox] = [
        PlainEngine("aiodocker", plain),
        Workspace("ours, warm", site, 1),
        Workspace("ours, cold", site, 0),
    ]
    with ExitStack() as stack:
        for start in (llm_sandbox, swe_rex):
            try:
                made = start(engine_host=plain.engine_host, image=plain.image)
                found.append(stack.enter_context(made))
            except PeerMissingError as missing:
                report.notes["missing"] = f"{report.notes.get('missing', '')} {missing}".strip()
        yield found


def one_of(kind: Sandbox, report: Report) -> None:
    """Add a sandbox's create and its commands, then remove it."""
    report.add(f"{kind.name}: create", kind.ms("create"))
    for _ in range(COMMANDS):
        report.add(f"{kind.name}: command", kind.ms("command"))
    kind.ms("remove")
