"""What the docker guard adds to a call: the same call with and without it, in turns."""

import asyncio
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiodocker

from benchmarks.guard_calls import Step, add, lines_of
from benchmarks.guarded_engine import INSTANCE, GuardedEngine, guarded_engine
from benchmarks.instant_engine import Recorded, instant_engine
from benchmarks.report import Report
from hakoiri.cli.workspace_image import workspace_image
from hakoiri.host.adapters.docker import DockerEngine
from hakoiri.host.containers.box import read_box
from hakoiri.host.containers.hardening import engine_configuration
from hakoiri.host.settings import DEFAULT_DOCKER_HOST, Settings, load
from hakoiri.wire.agent import AGENT_SOCKET_NAME
from hakoiri.wire.guard import SOURCE_HOME, SOURCE_WORKSPACE, engine_name

ROUNDS_EACH = 10
ROUNDS_OF_CHANGES = 2
"""One sample is a round of so many calls for each call; those that the engine works for, fewer."""

SETTLE_TIMEOUT_S: Final = 180
SETTLE_POLL_S: Final = 0.1
FREEZE_TRIES: Final = 50
"""On a busy machine runc gives up on processes that do not come to run ("unable to freeze")."""

FREEZE_REST_S: Final = 0.3
"""The engine learns of a thaw by an event, which may come after the next freeze is done."""

_OURS: Final = f'{{"label":["hakoiri.instance={INSTANCE}"]}}'
INSTANT: Final = "engine at once"


def measure(samples: int, *, say: Callable[[str], None]) -> Report:
    """Measure every call that the guard takes (`hakoiri.wire.guard`)."""
    return asyncio.run(_measure(samples, say))


async def _measure(samples: int, say: Callable[[str], None]) -> Report:
    host = os.environ.get("HAKOIRI_DOCKER_HOST", DEFAULT_DOCKER_HOST)
    settings = load(docker_host=host)
    image = settings.container.image or workspace_image()
    report = Report("Calls with and without the docker guard")
    report.notes["load average"] = "{:.1f}, {:.1f}, {:.1f}".format(*os.getloadavg())
    with tempfile.TemporaryDirectory(prefix="hakoiri-bench-") as name:
        async with _pair(host, settings=settings, image=image, root=Path(name)) as (pair, _):
            for number in range(-1, samples):
                say(f"round {number + 1} of {samples}")
                await pair.round(Report("warm-up") if number < 0 else report)
            recorded = await Recorded.of(pair.bare, image=image, name=pair.name, filters=_OURS)
            say("the same before an engine that answers at once")
            await _alone(recorded, report, samples=samples, settings=settings, image=image)
    report.notes["load average at the end"] = "{:.1f}, {:.1f}, {:.1f}".format(*os.getloadavg())
    report.lines = lines_of(report.samples_ms)
    return report


async def _alone(
    recorded: Recorded, report: Report, *, samples: int, settings: Settings, image: str
) -> None:
    """Measure the guard before an engine whose own time is next to nothing."""
    with tempfile.TemporaryDirectory(prefix="hakoiri-bench-") as name:
        root = Path(name)
        async with (
            instant_engine(recorded, root / "engine.sock") as host,
            _pair(host, settings=settings, image=image, root=root) as (pair, guarded),
        ):
            for number in range(-1, samples):
                quick = Report("warm-up") if number < 0 else report
                await pair.quick_round(quick, processor_ms=guarded.processor_ms)


@asynccontextmanager
async def _pair(
    host: str, *, settings: Settings, image: str, root: Path
) -> AsyncIterator[tuple["_Pair", GuardedEngine]]:
    """Start a guard before the engine, and a container that is asked about both ways."""
    async with (
        guarded_engine(host, settings=settings, image=image, root=root) as guarded,
        DockerEngine(guarded.address) as behind,
        aiodocker.Docker(url=host) as bare,
    ):
        pair = await _Pair.made(
            guarded=guarded, behind=behind, bare=bare, settings=settings, image=image, root=root
        )
        try:
            yield pair, guarded
        finally:
            await pair.remove()


class _Pair:
    """A running container that is asked about both ways."""

    def __init__(
        self,
        *,
        behind: DockerEngine,
        bare: aiodocker.Docker,
        body: dict[str, Any],
        container_id: str,
        image: str,
        agent_socket: Path,
    ) -> None:
        self.behind, self.bare, self.body = behind, bare, body
        self.container_id, self.image, self.agent_socket = container_id, image, agent_socket
        self.name = engine_name(container_id)
        self.engine_body: dict[str, Any] = {}

    @classmethod
    async def made(
        cls,
        *,
        guarded: GuardedEngine,
        behind: DockerEngine,
        bare: aiodocker.Docker,
        settings: Settings,
        image: str,
        root: Path,
    ) -> "_Pair":
        container_id = f"c{secrets.token_hex(8)}"
        (guarded.proxy_sockets / container_id).mkdir()
        body = engine_configuration(
            read_box(settings, instance=INSTANCE).maker(await behind.image_id(image))(container_id)
        )
        box = await behind.make_box(container_id)
        pair = cls(
            behind=behind,
            bare=bare,
            body=body,
            container_id=container_id,
            image=image,
            agent_socket=Path(box.agent) / AGENT_SOCKET_NAME,
        )
        await behind.create(name=pair.name, config=body)
        await behind.start(pair.name)
        pair.engine_body = body | {"HostConfig": dict(body["HostConfig"])}
        pair.engine_body["HostConfig"]["Mounts"] = [
            one | {"Source": str(_place(root, one["Source"]) / container_id / one["Source"])}
            for one in body["HostConfig"]["Mounts"]
        ]
        return pair

    async def _settled(self) -> None:
        """Wait until the agent listens: a box that still starts is hard to freeze."""
        async with asyncio.timeout(SETTLE_TIMEOUT_S):
            while True:
                try:
                    _, writer = await asyncio.open_unix_connection(self.agent_socket)
                except OSError:
                    await asyncio.sleep(SETTLE_POLL_S)
                else:
                    writer.close()
                    return

    async def remove(self) -> None:
        await self.behind.remove(self.name)
        await self.behind.remove_box(self.container_id)

    async def round(self, report: Report) -> None:
        """Time each call bare and guarded, alternating which is first; the container runs after."""
        await self._settled()
        for steps in (self._asking(), self._frozen()):
            for number in range(ROUNDS_EACH):
                await add(report, steps, number=number)
        for steps in (self._boxes(), self._ended()):
            for number in range(ROUNDS_OF_CHANGES):
                await add(report, steps, number=number)
        await self.behind.remove(self.name)
        for number in range(ROUNDS_OF_CHANGES):
            await add(report, self._made(), number=number)
        await self._create_guarded()
        await self.behind.start(self.name)

    async def quick_round(self, report: Report, *, processor_ms: Callable[[], float]) -> None:
        """Time each call before an engine that answers at once, and what it costs the guard."""
        steps = [*self._asking(), *self._frozen(), *self._ended(), *self._made()]
        own = [
            replace(step, name=f"{step.name}, {INSTANT}", rest_s=0.0, ready=None)
            for step in steps
            if step.bare is not None
        ]
        for number in range(ROUNDS_EACH):
            await add(report, own, number=number, processor_ms=processor_ms)

    def _asking(self) -> list[Step]:
        """What changes nothing."""
        container = self.bare.containers.container(self.name)
        return [
            Step("info", self.bare.system.info, self.behind.has_user_namespaces),
            Step(
                "image",
                lambda: self.bare.images.inspect(self.image),
                lambda: self.behind.image_id(self.image),
            ),
            Step(
                "list",
                lambda: self.bare.containers.list(all=True, filters=_OURS),
                lambda: self.behind.list_ours(INSTANCE),
            ),
            Step("inspect", container.show, lambda: self.behind.is_running(self.name)),
            Step("start (running already)", container.start, lambda: self.behind.start(self.name)),
            Step("boxes: list", None, self.behind.list_boxes),
            Step("boxes: find", None, lambda: self.behind.find_box(self.container_id)),
        ]

    def _frozen(self) -> list[Step]:
        container = self.bare.containers.container(self.name)
        return [
            Step(
                "pause",
                container.pause,
                lambda: self.behind.pause(self.name),
                tries=FREEZE_TRIES,
                rest_s=FREEZE_REST_S,
            ),
            Step(
                "unpause",
                container.unpause,
                lambda: self.behind.unpause(self.name),
                rest_s=FREEZE_REST_S,
            ),
        ]

    def _ended(self) -> list[Step]:
        """The last one starts it again; a start of the guard's looks at the processes as well."""
        container = self.bare.containers.container(self.name)
        return [
            Step(
                "stop",
                lambda: container.stop(t=0),
                lambda: self.behind.stop(self.name, grace_s=0),
                # one that has just begun has less to take down
                ready=self._settled,
            ),
            Step("start", container.start, lambda: self.behind.start(self.name)),
        ]

    def _made(self) -> list[Step]:
        """Begins and ends without the container."""
        container = self.bare.containers.container(self.name)
        return [
            Step("create", self._create_bare, self._create_guarded),
            Step(
                "remove",
                lambda: container.delete(force=True, v=True),
                lambda: self.behind.remove(self.name),
            ),
        ]

    def _boxes(self) -> list[Step]:
        """Directories of another container, which is never made."""
        other = f"c{secrets.token_hex(8)}"
        return [
            Step("boxes: make", None, lambda: self.behind.make_box(other)),
            Step("boxes: remove", None, lambda: self.behind.remove_box(other)),
        ]

    async def _create_bare(self) -> None:
        await self.bare.containers.create(self.engine_body, name=self.name)

    async def _create_guarded(self) -> None:
        await self.behind.create(name=self.name, config=self.body)


def _place(root: Path, source: str) -> Path:
    """Where the engine finds a box's directory."""
    return root / ("disks" if source in (SOURCE_WORKSPACE, SOURCE_HOME) else "tree")
